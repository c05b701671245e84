package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	tailsRounds    = 2
	tailsEndpoints = 4
	tailsRate      = 100 // events per second
	tailsPhase     = 20 * time.Second
	tailsRead      = 512 // bytes that each reader takes per second, which is less than is sent
	tailsLimit     = 1.5
	tailsPatience  = 30 * time.Second // for all streams to be open
)

// TailsReport is what open streams of events cost.
type TailsReport struct {
	Streams  int        `json:"streams"`
	Posts    Comparison `json:"posts"`    // time from POST to response
	Arrivals Comparison `json:"arrivals"` // time from POST to arrival
	Resident [2]int64   `json:"resident"` // bytes of memory of the node, without and with the streams
	Growth   float64    `json:"growth"`   // ratio of these
	Ended    int64      `json:"ended"`    // streams that the node has ended
}

// Tails measures what many open streams of events, whose readers are slow, do to the latency of
// events and to the memory of a node.
func (s *Scenario) Tails(ctx context.Context, streams int) (*TailsReport, error) {
	r := &TailsReport{Streams: streams}
	name := fmt.Sprintf("%d open tails that read %d bytes a second", streams, tailsRead)
	var posts [2]Histogram
	look := func(int) bool { return true }
	quiet := phase{name: "without tails", endpoints: tailsEndpoints, rate: tailsRate, duration: tailsPhase, size: 1 << 10, posts: &posts[0]}
	loud := quiet
	loud.name, loud.posts = "with tails", &posts[1]
	arrivals, err := s.compare(ctx, name, tailsRounds, tailsLimit,
		func(ctx context.Context) (*Histogram, error) {
			h, err := s.run(ctx, quiet, look)
			if err == nil && r.Resident[0] == 0 { // later, what the streams took may not have been given back
				var now nodeMemory
				now, err = memory(s.URLs[0], s.Token)
				r.Resident[0] = now.resident
			}
			return h, err
		},
		func(ctx context.Context) (_ *Histogram, err error) {
			tails := &slowTails{url: strings.TrimRight(s.URLs[0], "/") + "/api/v1/tail", token: s.Token}
			defer func() { tails.close(); r.Ended += tails.ended.Load() }()
			if err := tails.open(ctx, streams); err != nil {
				return nil, err
			}
			h, err := s.run(ctx, loud, look)
			if err != nil {
				return nil, err
			}
			now, err := memory(s.URLs[0], s.Token)
			r.Resident[1] = max(r.Resident[1], now.resident)
			return h, err
		})
	if err != nil {
		return nil, err
	}
	r.Arrivals = *arrivals
	r.Posts = Comparison{Name: name, Baseline: latencyOf(&posts[0]), With: latencyOf(&posts[1]), Limit: tailsLimit}
	r.Posts.Ratio = float64(r.Posts.With.P99) / float64(max(1, r.Posts.Baseline.P99))
	r.Growth = float64(r.Resident[1]) / float64(max(1, r.Resident[0]))
	return r, nil
}

// Err says whether the limits were kept.
func (r *TailsReport) Err() error { return errors.Join(r.Posts.Err(), r.Arrivals.Err()) }

// WriteTable writes the report as a table.
func (r *TailsReport) WriteTable(w io.Writer) error {
	t := &table{}
	t.line("%s", r.Posts.Name)
	t.line("")
	for _, part := range []struct {
		what string
		c    *Comparison
	}{{"POST → response", &r.Posts}, {"POST → arrival", &r.Arrivals}} {
		t.row(part.what, "p50", "p99", "p99.9")
		t.latency("without", part.c.Baseline)
		t.latency("with", part.c.With)
		t.line("ratio of the p99s %.2f (limit %.1f)", part.c.Ratio, part.c.Limit)
		t.line("")
	}
	t.line("memory of the node: %d MiB without, %d MiB with (%.2f times, %d KiB a stream); %d streams were ended",
		r.Resident[0]>>20, r.Resident[1]>>20, r.Growth, (r.Resident[1]-r.Resident[0])>>10/int64(max(1, r.Streams)), r.Ended)
	_, err := io.WriteString(w, t.text.String())
	return err
}

// slowTails are streams whose readers are slow.
type slowTails struct {
	url, token string
	client     *http.Client
	stop       context.CancelFunc
	readers    sync.WaitGroup
	ended      atomic.Int64
}

// open opens the streams and returns when all are.
func (s *slowTails) open(ctx context.Context, count int) error {
	ctx, s.stop = context.WithCancel(ctx)
	dialer := &net.Dialer{Timeout: callTimeout}
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ReadBufferSize: tailsRead,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if tcp, is := conn.(*net.TCPConn); is {
				err = tcp.SetReadBuffer(tailsRead) // or the kernel would read ahead
			}
			return conn, err
		}}}
	opened := make(chan error, count)
	for range count {
		s.readers.Go(func() { s.read(ctx, opened) })
	}
	timeout := time.After(tailsPatience)
	for range count {
		select {
		case err := <-opened:
			if err != nil {
				return fmt.Errorf("opening %d streams: %w", count, err)
			}
		case <-timeout:
			return fmt.Errorf("%d streams are not open after %s", count, tailsPatience)
		}
	}
	return nil
}

// read reads a stream slowly until it ends.
func (s *slowTails) read(ctx context.Context, opened chan<- error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		opened <- err
		return
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.client.Do(request)
	if err != nil {
		opened <- err
		return
	}
	defer response.Body.Close()
	part := make([]byte, tailsRead)
	if response.StatusCode != http.StatusOK {
		n, _ := io.ReadFull(response.Body, part)
		opened <- fmt.Errorf("%s: %s", response.Status, part[:n])
		return
	}
	opened <- nil
	for ctx.Err() == nil {
		if _, err := response.Body.Read(part); err != nil {
			break
		}
		pause(ctx, time.Second)
	}
	if ctx.Err() == nil {
		s.ended.Add(1)
	}
}

func (s *slowTails) close() {
	s.stop()
	s.readers.Wait()
}
