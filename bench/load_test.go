package bench

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

func newTestSink(t *testing.T, endpoints, events int) *Sink {
	t.Helper()
	sink, err := NewSink("127.0.0.1:0", endpoints, events)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return sink
}

func newTestLoad(sink *Sink, urls ...string) *Load {
	return &Load{URLs: urls, Token: "test", Sink: sink, Connections: 8, Size: 300, Wait: time.Minute}
}

func TestRunCountsWhatHappens(t *testing.T) {
	const events = 2500
	sink, node := newTestSink(t, 2, events), newFakeNode(t)
	node.copies = func(endpoint, event int) int {
		if endpoint == 1 && event%100 == 7 {
			return 3
		}
		return 1
	}
	node.forge = func(endpoint int) bool { return endpoint == 1 }
	node.refuse = func(event int) int {
		if event%500 == 9 {
			return 503
		}
		return 0
	}
	load := newTestLoad(sink, node.url, node.url+"/")
	load.Baseline = true
	report, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	node.sends.Wait() // the copies of the last events may come after the run
	if got := sink.Duplicated(0) + sink.Duplicated(1); got != 2*events/100 {
		t.Errorf("sink: %d duplicates, expected %d", got, 2*events/100)
	}
	if report.Accepted != events-5 || report.Failed != 5 || !maps.Equal(report.Failures, map[string]int{"503": 5}) {
		t.Errorf("accepted %d, failed %d %v", report.Accepted, report.Failed, report.Failures)
	}
	if len(report.Errors) != 1 || report.Errors[0] != `503 {"code":"unavailable"}` {
		t.Errorf("errors %q", report.Errors)
	}
	if report.Delivered != 2*(events-5) || report.Lost != 0 || report.Unconfirmed != 0 || report.Unknown != 0 {
		t.Errorf("delivered %d, lost %d, unconfirmed %d, unknown %d",
			report.Delivered, report.Lost, report.Unconfirmed, report.Unknown)
	}
	// The first and then every 1000th delivery is checked: 3 of those to each endpoint, and one of
	// them forges.
	if report.CheckedSignatures != 6 || report.BadSignatures != 3 || sink.BadSignatures(1) != 3 {
		t.Errorf("%d of %d signatures are bad", report.BadSignatures, report.CheckedSignatures)
	}
	if report.Bare == nil || report.Bare.Delivered != events || report.Ratio <= 0 {
		t.Errorf("bare loop %+v, ratio %v", report.Bare, report.Ratio)
	}
	if report.Post.P50 <= 0 || report.Arrival.P50 <= 0 || report.DeliveredPerSecond <= 0 || report.Elapsed <= 0 {
		t.Errorf("nothing was measured: %+v", report)
	}
	if node.deleted != 1 {
		t.Errorf("the application was deleted %d times, expected once", node.deleted)
	}
	if report.Err() == nil || report.Stopped != "" {
		t.Errorf("verdict %v, stopped %q", report.Err(), report.Stopped)
	}
}

// A batch counts as many events as it has, and as failed unless all of them are accepted.
func TestRunInBatches(t *testing.T) {
	const events, batch = 200, 20
	sink, node := newTestSink(t, 1, events), newFakeNode(t)
	node.refuse = func(event int) int {
		if event == 77 {
			return 422
		}
		return 0
	}
	load := newTestLoad(sink, node.url)
	load.Batch, load.Connections = batch, 2
	report, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Accepted != events-batch || report.Failed != 1 || report.Lost != 0 || report.Delivered != events-1 || report.Unconfirmed != batch-1 {
		t.Errorf("%+v", report)
	}
	load.Batch = 3
	if _, err := load.Run(t.Context()); err == nil {
		t.Error("200 events were sent in batches of 3")
	}
}

// With a rate, the events that a stall kept from being sent count as slow, too.
func TestRateCountsFromWhenEventsAreDue(t *testing.T) {
	const events, rate, stall = 40, 1000, 500 * time.Millisecond
	sink, node := newTestSink(t, 1, events), newFakeNode(t)
	node.refuse = func(event int) int {
		if event == 0 {
			time.Sleep(stall) // what is measured
		}
		return 0
	}
	load := newTestLoad(sink, node.url)
	load.Rate, load.Connections = rate, 1
	report, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const least = stall - events*time.Second/rate // of the last event, which had not begun before the stall ended
	if report.Delivered != events || report.Post.P50 < least || report.Arrival.P50 < least {
		t.Errorf("delivered %d, p50 of POSTs %v, of arrivals %v, expected at least %v", report.Delivered, report.Post.P50, report.Arrival.P50, least)
	}
	if report.AcceptedPerSecond > rate {
		t.Errorf("%.0f accepted per second", report.AcceptedPerSecond)
	}
}

// A generator that has seen too many failures ends, although its events are not all due.
func TestPatienceEndsAPacedRun(t *testing.T) {
	sink, node := newTestSink(t, 1, 1000), newFakeNode(t)
	node.refuse = func(int) int { return 503 }
	load := newTestLoad(sink, node.url)
	load.Rate = 100
	site, err := newSite(t.Context(), node.url, load.Token, sink)
	if err != nil {
		t.Fatal(err)
	}
	g, err := load.generator(site)
	if err != nil {
		t.Fatal(err)
	}
	g.patience = 3
	g.run(t.Context())
	if n := g.failures.count(); n < 3 || n > 3+load.Connections {
		t.Errorf("%d failures, expected it to end after about 3", n)
	}
}

func TestRunCountsLostAndUnconfirmed(t *testing.T) {
	const events = 400
	sink, node := newTestSink(t, 1, events), newFakeNode(t)
	node.copies = func(_, event int) int {
		switch event % 20 {
		case 3:
			return 0
		case 4:
			return 2
		}
		return 1
	}
	load := newTestLoad(sink, node.url)
	load.Wait = time.Second
	report, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Lost != events/20 || report.Duplicated != events/20 || report.Delivered != events-events/20 {
		t.Errorf("lost %d, duplicated %d, delivered %d", report.Lost, report.Duplicated, report.Delivered)
	}
	if sink.Arrivals(0, 3) != 0 || sink.Arrivals(0, 4) != 2 || sink.Arrivals(0, 5) != 1 {
		t.Errorf("arrivals %d, %d, %d", sink.Arrivals(0, 3), sink.Arrivals(0, 4), sink.Arrivals(0, 5))
	}
}

func TestReportTellsUnconfirmedFromLost(t *testing.T) {
	sink := newTestSink(t, 1, 4)
	g := newTestLoad(sink).generatorTo(nil, 202)
	g.took = []bool{true, true, false, false}
	g.accepted.Store(2)
	for _, event := range []int{0, 2, 3, 3} {
		sink.tallies[0].count(event, 0, 1)
	}
	var report Report
	report.fill(g, sink.tallies[:1])
	if report.Delivered != 3 || report.Lost != 1 || report.Unconfirmed != 2 || report.Duplicated != 1 {
		t.Errorf("delivered %d, lost %d, unconfirmed %d, duplicated %d",
			report.Delivered, report.Lost, report.Unconfirmed, report.Duplicated)
	}
}

func TestCancelEndsARunThatIsSending(t *testing.T) {
	const events = 1_000_000
	sink, node := newTestSink(t, 1, events), newFakeNode(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	sink.SetRespond(func(_, event int, _ *fasthttp.RequestCtx) bool {
		if event == 100 {
			cancel(errors.New("enough"))
		}
		return false
	})
	report, err := newTestLoad(sink, node.url).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if report.Stopped != "enough" || report.Accepted == 0 || report.Accepted == events || report.Err() != nil {
		t.Errorf("stopped %q, accepted %d, verdict %v", report.Stopped, report.Accepted, report.Err())
	}
	if node.deleted != 1 {
		t.Errorf("the application was deleted %d times, expected once", node.deleted)
	}
}

func TestCancelEndsARunWithoutResponses(t *testing.T) {
	sink, node := newTestSink(t, 1, 100), newFakeNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	silence := make(chan struct{})
	defer close(silence)
	node.refuse = func(int) int {
		cancel()
		<-silence
		return 503
	}
	report, err := newTestLoad(sink, node.url).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if report.Accepted != 0 || report.Failures["no answer"] == 0 || report.Stopped == "" {
		t.Errorf("accepted %d, failures %v, stopped %q", report.Accepted, report.Failures, report.Stopped)
	}
}

func TestCancelEndsTheWaiting(t *testing.T) {
	sink, node := newTestSink(t, 1, 20), newFakeNode(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	node.copies = func(_, event int) int {
		if event == 19 {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		return event % 2
	}
	report, err := newTestLoad(sink, node.url).Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if report.Accepted != 20 || report.Lost < 10 || report.Stopped == "" {
		t.Errorf("accepted %d, lost %d, stopped %q", report.Accepted, report.Lost, report.Stopped)
	}
}

func TestANodeThatIsDownIsLeft(t *testing.T) {
	sink, node := newTestSink(t, 1, 200), newFakeNode(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down := "http://" + listener.Addr().String()
	listener.Close()
	report, err := newTestLoad(sink, node.url, down).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Each of the 4 connections that begin there fails at most once.
	if report.Accepted < 196 || report.Accepted+report.Failures["no answer"] != 200 || len(report.Errors) > 1 {
		t.Errorf("accepted %d, failures %v, errors %q", report.Accepted, report.Failures, report.Errors)
	}
}

func TestSetupErrorsSayWhatToDo(t *testing.T) {
	sink, node := newTestSink(t, 1, 10), newFakeNode(t)
	cases := []struct {
		change func(*Load)
		want   string
	}{
		{func(l *Load) { l.Token = "wrong" }, "expected status 201, got 401"},
		{func(l *Load) { l.URLs = nil }, "no URL"},
		{func(l *Load) { l.URLs = []string{node.url, "ftp://127.0.0.1"} }, "expected a URL such as"},
		{func(l *Load) { l.Connections = 0 }, "expected 1 to 10000"},
		{func(l *Load) { l.Size = 10 }, "expected 60 to 4194304"},
		{func(l *Load) { l.Rate = -1 }, "expected 0 (as fast as they are accepted) to 1000000"},
		{func(l *Load) { l.Rate = math.NaN() }, "expected 0 (as fast as they are accepted) to 1000000"},
		{func(l *Load) { l.Wait = -1 }, "expected 0 or more"},
	}
	for _, c := range cases {
		load := newTestLoad(sink, node.url)
		c.change(load)
		if _, err := load.Run(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
	if node.created != node.deleted || node.created == 0 {
		t.Errorf("%d applications created, %d deleted", node.created, node.deleted)
	}
}

func TestProgressLine(t *testing.T) {
	var out bytes.Buffer
	sink := newTestSink(t, 1, 10)
	load := newTestLoad(sink)
	load.Progress = &out
	g := load.generatorTo(nil, 202)
	g.accepted.Store(12_345)
	synctest.Test(t, func(*testing.T) {
		stop := load.watch("node", g, sink.tallies[:1])
		time.Sleep(progressInterval + progressInterval/2)
		stop()
	})
	want := "node    1 s   accepted      12,345    12,345/s   delivered           0         0/s   failed 0\n"
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
