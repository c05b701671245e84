package httpapi_test

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

const createSenders = 64 // requests under way at a time

// BenchmarkCreateMessage is what a producer waits for: a message of 1 KiB, over HTTP, to a single
// node in this process, without and with an idempotency key. cpu/message is all of this process,
// the sender too.
func BenchmarkCreateMessage(b *testing.B) {
	for _, keyed := range []bool{false, true} {
		b.Run(fmt.Sprint("key=", keyed), func(b *testing.B) { benchmarkCreate(b, keyed) })
	}
}

func benchmarkCreate(b *testing.B, keyed bool) {
	url := apiBench(b)
	body := fmt.Appendf(nil, `{"eventType":"bench.event","payload":{"text":"%s"}}`, bytes.Repeat([]byte("x"), 1<<10))
	client := fasthttp.Client{MaxConnsPerHost: createSenders}
	var sent atomic.Int64
	post := func() error {
		request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(request)
		defer fasthttp.ReleaseResponse(response)
		request.SetRequestURI(url)
		request.Header.SetMethod(fasthttp.MethodPost)
		request.Header.Set("Authorization", "Bearer "+apiToken)
		if keyed {
			request.Header.Set("Idempotency-Key", "auto_0f8fad5b-d9cb-469f-a165-"+strconv.FormatInt(sent.Add(1), 16))
		}
		request.SetBodyRaw(body)
		if err := client.DoTimeout(request, response, time.Minute); err != nil {
			return err
		}
		if response.StatusCode() != fasthttp.StatusAccepted {
			return fmt.Errorf("%d: %s", response.StatusCode(), response.Body())
		}
		return nil
	}
	b.SetParallelism(createSenders / 2)
	before := processorTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := post(); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/message")
}

// apiBench is where the messages of an application without endpoints go.
func apiBench(b *testing.B) string {
	a := apiStart(b)
	var app apiThing
	a.call("POST", "/app", `{"name":"bench"}`, 201, &app)
	return a.url + "/api/v1/app/" + app.ID + "/msg"
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
