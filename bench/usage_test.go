package bench

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"
)

// meteredFake is a node that has a process with a use of its own.
type meteredFake struct {
	url                          string
	id                           string
	started, cpu, resident, data atomic.Int64 // cpu in milliseconds
}

func newMeteredFake(t *testing.T, id string) *meteredFake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &meteredFake{url: "http://" + listener.Addr().String(), id: id}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		switch {
		case string(ctx.Request.Header.Peek("Authorization")) != "Bearer test":
			ctx.Error("no token", 401)
		case string(ctx.Path()) == "/api/v1/health":
			respond(ctx, 200, fmt.Sprintf(`{"node":%q}`, n.id))
		default:
			fmt.Fprintf(ctx, `# TYPE process_start_time_seconds gauge
process_start_time_seconds %d
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total %f
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes %d
# TYPE hookwheel_data_bytes gauge
hookwheel_data_bytes %d
`, n.started.Load(), float64(n.cpu.Load())/1000, n.resident.Load(), n.data.Load())
			fmt.Fprint(ctx, "# TYPE go_gc_duration_seconds summary\ngo_gc_duration_seconds{quantile=\"1\"} 0.5\ngo_gc_duration_seconds_count 7\n")
		}
	}}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() { server.Shutdown(); <-done })
	return n
}

func TestUsage(t *testing.T) {
	a, b := newMeteredFake(t, "a"), newMeteredFake(t, "b")
	a.resident.Store(500)
	a.data.Store(100)
	m, err := newMeter([]string{a.url, b.url + "/", a.url}, "test")
	if err != nil {
		t.Fatal(err)
	}
	a.cpu.Store(3000)
	b.cpu.Store(1000)
	a.resident.Store(300)
	b.resident.Store(70)
	a.data.Store(1100)
	u, err := m.stop(100)
	if err != nil {
		t.Fatal(err)
	}
	u.Device, u.DevicePerEvent = 0, 0 // whatever this machine has written meanwhile
	want := Usage{Nodes: 2, CPU: 4e9, CPUPerEvent: 40e6, Resident: 570, Data: 1000, DataPerEvent: 10}
	if *u != want {
		t.Errorf("%+v, want %+v", *u, want)
	}
}

// A node that was restarted has lost its counters, and one that says nothing has none.
func TestUsageIsNotKnown(t *testing.T) {
	node := newMeteredFake(t, "a")
	m, err := newMeter([]string{node.url}, "test")
	if err != nil {
		t.Fatal(err)
	}
	node.started.Store(9)
	if u, err := m.stop(1); err == nil || !strings.Contains(err.Error(), "was started again") {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := newMeter([]string{node.url}, "wrong"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong token: %v", err)
	}
	sink := newTestSink(t, 1, 20)
	report, err := newTestLoad(sink, newFakeNode(t).url).Run(t.Context())
	if err != nil || report.Usage != nil || !strings.Contains(report.UsageError, "health: expected status 200, got 404") {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestScrape(t *testing.T) {
	node := newMeteredFake(t, "a")
	found, err := scrape(node.url+"/", "test")
	if err != nil || found["go_gc_duration_seconds"] != 7 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := found.of("process_cpu_seconds_total", "nothing"); err == nil || !strings.Contains(err.Error(), "no nothing") {
		t.Errorf("a value that is not there: %v", err)
	}
}

func TestIsLocal(t *testing.T) {
	for link, want := range map[string]bool{"http://127.0.0.1:1": true, "http://[::1]:1": true, "http://192.0.2.1": false, "http://no.such.host.invalid": false, ":": false} {
		if got := isLocal(link); got != want {
			t.Errorf("%s: %t", link, got)
		}
	}
}
