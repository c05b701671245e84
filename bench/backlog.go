package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	backlogRamp    = 12  // seconds after the first arrival whose arrivals are told apart
	backlogHeap    = 32  // MiB by which the leader's heap may grow
	canaryRate     = 50  // events per second
	canarySize     = 256 // bytes
	canaryBefore   = 2 * time.Second
	canaryAfter    = 10 * time.Second
	drainPatience  = 2 * time.Minute // without any arrival
	backlogStarted = 30 * time.Second
)

// Backlog is what many waiting events cost, and how they arrive in the end.
type Backlog struct {
	Events      int           `json:"events"`
	Kind        string        `json:"kind"`           // what they wait for
	HeapEmpty   int64         `json:"heapEmpty"`      // bytes in use on the leader with no event waiting, as many delivered
	HeapWaiting int64         `json:"heapWaiting"`    // and with all of them waiting
	PauseEmpty  time.Duration `json:"pauseEmptyNs"`   // for which another endpoint gets nothing when the leader changes; 0: one node only
	Pause       time.Duration `json:"pauseWaitingNs"` // the same with all events waiting

	Drained    time.Duration `json:"drainedNs,omitempty"` // from the endpoint's return until the last event has arrived
	PerSecond  []int         `json:"perSecond,omitempty"` // arrivals in each of the first seconds from the first arrival on
	Lost       int           `json:"lost"`
	Duplicated int           `json:"duplicated"`
	Overtaken  int           `json:"overtaken"` // the most places by which an event arrived before an older one
}

// Growth is by how much the heap is larger, in bytes.
func (b *Backlog) Growth() int64 { return b.HeapWaiting - b.HeapEmpty }

// Err returns an error if a promise was broken.
func (b *Backlog) Err() error {
	switch {
	case b.Lost > 0:
		return fmt.Errorf("%d events were lost", b.Lost)
	case b.Growth() > backlogHeap<<20:
		return fmt.Errorf("the heap grew by %d MiB, more than %d", b.Growth()>>20, backlogHeap)
	}
	return nil
}

// Dead has events wait for an endpoint that is dead, changes the leader meanwhile, and lets the
// endpoint come back.
func (s *Scenario) Dead(ctx context.Context, events int) (*Backlog, error) {
	b := &Backlog{Events: events, Kind: "for a dead endpoint"}
	return b, s.backlog(ctx, b, func(sink *Sink, site *site) error {
		arrivals := &arrivals{}
		sink.SetRespond(arrivals.respond)
		if err := s.post(ctx, site, events, ""); err != nil {
			return err
		}
		if err := s.waiting(ctx, b); err != nil {
			return err
		}
		s.say("the endpoint comes back")
		arrivals.open()
		return arrivals.drain(ctx, s, sink, b)
	})
}

// Scheduled fills the retry set with events that are to be sent later, and changes the leader.
func (s *Scenario) Scheduled(ctx context.Context, events int) (*Backlog, error) {
	b := &Backlog{Events: events, Kind: "in the retry set"}
	return b, s.backlog(ctx, b, func(_ *Sink, site *site) error {
		later := time.Now().Add(12 * time.Hour).UTC().Format(time.RFC3339)
		if err := s.post(ctx, site, events, `"deliverAt":"`+later+`",`); err != nil {
			return err
		}
		pause(ctx, backlogStarted) // until the lane has put them off
		return s.waiting(ctx, b)
	})
}

// backlog measures the node with nothing waiting, and then has work measure it with an endpoint of
// its own.
func (s *Scenario) backlog(ctx context.Context, b *Backlog, work func(*Sink, *site) error) error {
	if err := s.empty(ctx, b); err != nil {
		return err
	}
	return s.onEndpoint(ctx, b.Events, work)
}

// onEndpoint makes an endpoint for so many events, and removes it when work is done.
func (s *Scenario) onEndpoint(ctx context.Context, events int, work func(*Sink, *site) error) (err error) {
	sink, err := NewSink(s.Listen, 1, events)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	site, err := newSite(ctx, s.URLs[0], s.Token, sink)
	if err == nil {
		err = work(sink, site)
	}
	return errors.Join(err, site.remove())
}

// empty measures the node with nothing waiting, after as many events as will wait.
func (s *Scenario) empty(ctx context.Context, b *Backlog) error {
	return s.onEndpoint(ctx, b.Events, func(sink *Sink, site *site) (err error) {
		s.say("%s events that are delivered at once", thousands(b.Events))
		if err := s.post(ctx, site, b.Events, ""); err != nil {
			return err
		}
		if err := awaitDelivered(ctx, sink, 0, b.Events); err != nil {
			return err
		}
		if b.HeapEmpty, err = s.leaderHeap(ctx); err != nil {
			return err
		}
		b.PauseEmpty, err = s.changeLeader(ctx)
		return err
	})
}

// waiting measures the node with all events waiting.
func (s *Scenario) waiting(ctx context.Context, b *Backlog) (err error) {
	s.say("%s events wait", thousands(b.Events))
	if b.HeapWaiting, err = s.leaderHeap(ctx); err != nil {
		return err
	}
	b.Pause, err = s.changeLeader(ctx)
	return err
}

// post sends events as fast as they are taken, with more of the message in front of its payload.
func (s *Scenario) post(ctx context.Context, site *site, events int, more string) error {
	const size = 256
	var targets []target
	for _, url := range s.URLs {
		to, err := newTarget(site.messages(url), s.Token, `{"eventType":"bench.event",`+more+`"payload":`, `}`, size)
		if err != nil {
			return err
		}
		targets = append(targets, to)
	}
	g := &generator{targets: targets, want: 202, events: events, connections: 4 * connectionsOfPhase, size: size, patience: failurePatience}
	g.run(ctx)
	if n := g.failures.count(); n > 0 {
		return fmt.Errorf("%d of %d POSTs failed, such as: %v", n, events, g.failures.texts)
	}
	s.say("%s accepted, %s/s", thousands(events), rate(perSecond(events, g.began, g.ended.Load())))
	return ctx.Err()
}

// changeLeader hands leadership over under a light load on another endpoint, and returns the
// longest time for which nothing arrived there. With one node there is nobody to hand it to.
func (s *Scenario) changeLeader(ctx context.Context) (time.Duration, error) {
	if len(s.URLs) < 2 {
		return 0, nil
	}
	var last, longest atomic.Int64
	began := atomic.Bool{}
	p := phase{name: "while the leader changes", endpoints: 1, rate: canaryRate, duration: canaryBefore + canaryAfter, size: canarySize,
		respond: func(int, int, *fasthttp.RequestCtx) bool {
			at := now()
			if before := last.Swap(at); before > 0 && began.Load() {
				longest.Store(max(longest.Load(), at-before))
			}
			return false
		}}
	failed := make(chan error, 1)
	go func() {
		pause(ctx, canaryBefore)
		began.Store(true)
		failed <- (&site{base: s.URLs[0], token: s.Token}).call("POST", "/api/v1/cluster/transfer", map[string]string{}, 204, nil)
	}()
	_, err := s.run(ctx, p, func(int) bool { return true })
	return time.Duration(longest.Load()), errors.Join(err, <-failed)
}

// arrivals is a receiver that is dead until it is opened, and then notes the order and the time of
// what arrives.
type arrivals struct {
	alive     atomic.Bool
	mu        sync.Mutex
	opened    int64
	first     int64 // arrival
	perSecond [backlogRamp]int
	newest    int
	overtaken int
}

func (a *arrivals) respond(_, event int, ctx *fasthttp.RequestCtx) bool {
	if !a.alive.Load() {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := now()
	if a.first == 0 {
		a.first = at
	}
	if second := (at - a.first) / int64(time.Second); second < backlogRamp {
		a.perSecond[second]++
	}
	a.newest = max(a.newest, event)
	a.overtaken = max(a.overtaken, a.newest-event)
	return false
}

func (a *arrivals) open() {
	a.mu.Lock()
	a.opened = now()
	a.mu.Unlock()
	a.alive.Store(true)
}

// drain waits until all has arrived, or nothing new does.
func (a *arrivals) drain(ctx context.Context, s *Scenario, sink *Sink, b *Backlog) error {
	seen, since, told := 0, time.Now(), time.Now()
	for ctx.Err() == nil && seen < b.Events && time.Since(since) < drainPatience {
		pause(ctx, awaitInterval)
		if n := sink.Delivered(0); n > seen {
			seen, since = n, time.Now()
		}
		if time.Since(told) > 5*time.Second {
			s.say("%s of %s have arrived", thousands(seen), thousands(b.Events))
			told = time.Now()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.Drained = time.Duration(lastArrival(sink.tallies[:1]) - a.opened)
	b.PerSecond, b.Overtaken = a.perSecond[:], a.overtaken
	b.Lost, b.Duplicated = b.Events-seen, sink.Duplicated(0)
	return ctx.Err()
}

// WriteTable writes the report as a table.
func (b *Backlog) WriteTable(w io.Writer) error {
	t := &table{}
	t.line("%s events that wait %s", thousands(b.Events), b.Kind)
	t.line("")
	t.row("", "none waits", "all wait", "growth")
	t.row("heap of the leader", mebibytes(b.HeapEmpty), mebibytes(b.HeapWaiting), mebibytes(b.Growth()))
	t.line("that is %d bytes for each that waits", b.Growth()/int64(b.Events))
	if b.Pause > 0 {
		t.row("leader change", duration(b.PauseEmpty), duration(b.Pause))
	}
	if b.PerSecond != nil {
		t.line("")
		t.line("arrivals in each second from the first one on: %v", b.PerSecond)
		t.row("drained in", duration(b.Drained))
		t.row("lost", thousands(b.Lost))
		t.row("duplicated", thousands(b.Duplicated))
		t.note("overtaken", thousands(b.Overtaken), "places at most")
	}
	_, err := io.WriteString(w, t.text.String())
	return err
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
