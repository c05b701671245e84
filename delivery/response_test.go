package delivery

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// FuzzTake compares what is kept of a response with what net/http reads of it, if both accept it.
// The buffers have been used before.
func FuzzTake(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 500 No\r\nX-A: b\r\nSet-Cookie: geheim\r\n\r\nuntil the end",
		"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 204 Fine\r\n\r\n",
		"HTTP/1.1 410 Gone\r\nContent-Length: 30000\r\nX-Long: " + strings.Repeat("x", 2000) + "\r\n\r\n" + strings.Repeat("y", 30_000),
		"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nWebhook-Delivery: disable\r\nContent-Length: 9\r\n\r\nno", "HTTP/1.0 200 OK\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	s := newTestSender(nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &buffers{reader: bufio.NewReaderSize(nil, maxResponseHeader), text: []byte("left from the one before")}
		b.reader.Reset(bytes.NewReader(text))
		response := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(response)
		response.StreamBody = true
		if response.ReadLimitBody(b.reader, 0) != nil {
			return
		}
		a := webhook.Attempt{Trace: new(webhook.Trace)}
		why, complete := s.take(response, b, &a)
		if len(a.Response) > webhook.MaxResponse || len(a.Trace.Headers) > webhook.MaxHeaders || (why == reasonSuccess) != (a.StatusCode/100 == 2) {
			t.Fatalf("%s %+v", why, a)
		}
		other, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(text)), &http.Request{Method: http.MethodPost})
		if err != nil || other.StatusCode != int(a.StatusCode) || len(other.TransferEncoding) > 0 && other.ProtoMinor == 0 {
			return // one of them knows it better, or it has interim responses
		}
		body, err := io.ReadAll(io.LimitReader(other.Body, webhook.MaxResponse+1))
		if err != nil || !complete {
			return
		}
		if why != reasonProtocol && !bytes.Equal(body, a.Response) {
			t.Errorf("kept %q, net/http reads %q", a.Response, body)
		}
		for line := range strings.Lines(string(a.Trace.Headers)) {
			name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !found || webhook.SensitiveHeader(name) != (value == string(maskedHeader)) && value != string(maskedHeader) {
				t.Errorf("kept header %q", line)
			}
		}
	})
}

// TestKeptResponses takes responses one after the other with the same buffers: nothing of one is
// left in what is kept of another.
func TestKeptResponses(t *testing.T) {
	s, b := newTestSender(nil), &buffers{reader: bufio.NewReaderSize(nil, maxResponseHeader)}
	var kept []webhook.Attempt
	for i := range 20 {
		response := fasthttp.AcquireResponse()
		response.StreamBody = true
		body := strings.Repeat(fmt.Sprint(i%10), 1+i*i*70)
		b.reader.Reset(strings.NewReader(fmt.Sprintf("HTTP/1.1 %d What\r\nX-Number: %d\r\nContent-Length: %d\r\n\r\n%s", 400+i, i, len(body), body)))
		if err := response.ReadLimitBody(b.reader, 0); err != nil {
			t.Fatal(err)
		}
		a := webhook.Attempt{Trace: new(webhook.Trace)}
		s.take(response, b, &a)
		fasthttp.ReleaseResponse(response)
		kept = append(kept, a)
	}
	for i, a := range kept {
		body := strings.Repeat(fmt.Sprint(i%10), 1+i*i*70)
		if want := body[:min(len(body), webhook.MaxResponse)]; string(a.Response) != want {
			t.Errorf("response %d: %.50q", i, a.Response)
		}
		if want := fmt.Sprintf("Content-Length: %d\nContent-Type: text/plain; charset=utf-8\nX-Number: %d\n", len(body), i); string(a.Trace.Headers) != want {
			t.Errorf("response %d: headers %q, want %q", i, a.Trace.Headers, want)
		}
	}
}
