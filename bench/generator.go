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
)

const (
	failurePause = 100 * time.Millisecond // so that a node that is down does not swallow all events at once
	maxErrors    = 5                      // texts that are kept
	maxErrorText = 200                    // bytes of an answer that are kept
)

// generator sends events 0, 1, … over several connections. It is a closed loop: each connection
// sends its next event when the last one is answered.
type generator struct {
	targets     []target
	want        int // the status that means accepted
	events      int
	batch       int // events of a POST; 0: one by itself
	connections int
	size        int     // of a payload, in bytes
	rate        float64 // events per second at most, evenly spread; 0: as fast as they are answered
	patience    int     // failures after which it ends; 0: it does not

	began    int64        // the first POST; nanoseconds, see now
	ended    atomic.Int64 // the last accepted answer
	next     atomic.Int64 // event to send
	accepted atomic.Int64
	took     []bool // by event: accepted; each is written by the one connection that sent it
	latency  Histogram
	failures failures
}

// run sends all events and returns when the last is answered, or soon after the context ends.
func (g *generator) run(ctx context.Context) {
	g.took = make([]bool, g.events)
	g.began = now()
	var senders sync.WaitGroup
	for i := range g.connections {
		senders.Go(func() { g.loop(ctx, newSender(g.targets, i, g.size)) })
	}
	senders.Wait()
}

func (g *generator) loop(ctx context.Context, s *sender) {
	defer s.close()
	for ctx.Err() == nil {
		step := max(g.batch, 1)
		event := int(g.next.Add(int64(step))) - step
		if event >= g.events || g.patience > 0 && g.failures.count() >= g.patience {
			return
		}
		g.pace(ctx, event)
		if !g.send(ctx, s, event) {
			pause(ctx, failurePause)
		}
	}
}

// pace waits until it is an event's turn.
func (g *generator) pace(ctx context.Context, event int) {
	if g.rate == 0 {
		return
	}
	due := g.began + int64(float64(event)/g.rate*float64(time.Second))
	if wait := time.Duration(due - now()); wait > 0 {
		pause(ctx, wait)
	}
}

// send makes one POST, beginning with that event, and reports whether it was accepted.
func (g *generator) send(ctx context.Context, s *sender, event int) bool {
	sent := now()
	status, body, err := s.post(ctx, event, sent)
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
	g.latency.Record(time.Duration(answered - sent))
	for i := range max(g.batch, 1) {
		g.took[event+i] = true
	}
	g.accepted.Add(int64(max(g.batch, 1)))
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
