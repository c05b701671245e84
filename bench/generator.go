package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	failurePause = 100 * time.Millisecond // so that a node that is down does not swallow all events at once
	maxErrors    = 5                      // texts that are kept
	maxErrorText = 200                    // bytes of an answer that are kept
)

// generator sends events 0, 1, … over several connections. Without a rate it is a closed loop:
// each connection sends its next event when the last one is answered. With one it is an open loop:
// an event counts from when it is due, also if all connections still wait then, so a node that
// stalls can't hide the events that it has kept from being sent.
type generator struct {
	targets     []target
	want        int // the status that means accepted
	events      int
	batch       int // events of a POST; 0: one by itself
	connections int
	size        int     // of a payload, in bytes
	rate        float64 // events per second, evenly spread; 0: as fast as they are answered
	patience    int     // failures after which it ends; 0: it does not

	began    int64        // the first POST; nanoseconds, see now
	ended    atomic.Int64 // the last accepted answer
	next     atomic.Int64 // event to send, without a rate
	turns    chan int     // events that are due, with one
	accepted atomic.Int64
	took     []bool // by event: accepted; each is written by the one connection that sent it
	latency  Histogram
	failures failures
}

// run sends all events and returns when the last is answered, or soon after the context ends.
func (g *generator) run(ctx context.Context) {
	g.took = make([]bool, g.events)
	g.began = now()
	pacing, stop := context.WithCancel(ctx)
	var pacer, senders sync.WaitGroup
	if g.rate > 0 {
		g.turns = make(chan int)
		pacer.Go(func() { g.pace(pacing) })
	}
	for i := range g.connections {
		senders.Go(func() { g.loop(ctx, newSender(g.targets, i, g.size)) })
	}
	senders.Wait()
	stop()
	pacer.Wait()
}

func (g *generator) loop(ctx context.Context, s *sender) {
	defer s.close()
	for ctx.Err() == nil && (g.patience == 0 || g.failures.count() < g.patience) {
		event, due, more := g.take()
		if !more {
			return
		}
		if !g.send(ctx, s, event, due) {
			pause(ctx, failurePause)
		}
	}
}

// take returns the next event, and from when on its latency counts.
func (g *generator) take() (event int, due int64, more bool) {
	if g.rate > 0 {
		event, more = <-g.turns
		return event, g.due(event), more
	}
	event = int(g.next.Add(int64(g.step()))) - g.step()
	return event, now(), event < g.events
}

// step is how many events a POST has.
func (g *generator) step() int { return max(g.batch, 1) }

// due is when an event is to be sent, with a rate.
func (g *generator) due(event int) int64 {
	return g.began + int64(float64(event)/g.rate*float64(time.Second))
}

// pace hands out events when they are due until the last one, or the end of the context.
func (g *generator) pace(ctx context.Context) {
	defer close(g.turns)
	for event := 0; event < g.events; event += g.step() {
		pauseUntil(ctx, g.due(event))
		select {
		case g.turns <- event:
		case <-ctx.Done():
			return
		}
	}
}

// send makes one POST, beginning with that event, and reports whether it was accepted.
func (g *generator) send(ctx context.Context, s *sender, event int, due int64) bool {
	status, body, err := s.post(ctx, event, due)
	switch {
	case err != nil:
		g.failures.add("no answer", errorText(err))
		return false
	case status != g.want:
		body = body[:min(len(body), maxErrorText)]
		g.failures.add(strconv.Itoa(status), fmt.Sprintf("%d %s", status, body))
		return false
	case g.batch > 0 && bytes.Count(body, []byte(`"id":`)) != g.batch:
		g.failures.add("refused", fmt.Sprintf("a batch of which not all was accepted: %s", body[:min(len(body), maxErrorText)]))
		return false
	}
	answered := now()
	g.latency.Record(time.Duration(answered - due))
	for i := range g.step() {
		g.took[event+i] = true
	}
	g.accepted.Add(int64(g.step()))
	g.ended.Store(answered) // a later answer may be overtaken here, by microseconds
	return true
}

// errorText leaves out the local port of a network error, which would make each one different.
func errorText(err error) string {
	var failed *net.OpError
	if errors.As(err, &failed) && failed.Addr != nil {
		return fmt.Sprintf("%s %s: %v", failed.Op, failed.Addr, failed.Err)
	}
	return err.Error()
}

// pause waits for d or the end of the context.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// pauseUntil waits for a moment, see now, or the end of the context. The runtime's timers may be a
// millisecond late in a process that is idle, which would count as latency of what is measured, so
// the end of the wait is left to the system.
func pauseUntil(ctx context.Context, moment int64) {
	const coarse = 2 * time.Millisecond
	if wait := time.Duration(moment - now()); wait > coarse {
		pause(ctx, wait-coarse)
	}
	for ctx.Err() == nil {
		wait := moment - now()
		if wait <= 0 {
			return
		}
		rest := unix.NsecToTimeval(wait + int64(time.Microsecond) - 1)
		unix.Select(0, nil, nil, nil, &rest) // an interrupted one is begun again
	}
}

// failures counts the POSTs that were not accepted, by kind, and keeps the first few different
// texts.
type failures struct {
	mu    sync.Mutex
	total int
	kinds map[string]int
	texts []string
}

func (f *failures) add(kind, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.kinds == nil {
		f.kinds = map[string]int{}
	}
	f.total++
	f.kinds[kind]++
	if len(f.texts) < maxErrors && !slices.Contains(f.texts, text) {
		f.texts = append(f.texts, text)
	}
}

// count is how many there were so far.
func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}
