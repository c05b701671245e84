package scheduler

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"hookwheel/webhook"
)

// What the leader keeps of an endpoint, and of its application if that has no other, in bytes.
// Together with what each node keeps of it (wal.TestMemoryPerEndpoint) an endpoint is to cost at
// most 2 KiB beyond its own text.
const (
	maxLaneBytes       = 1040
	maxTailBytesPerApp = 480
	maxFailingBytes    = 130 // more, with a message that waits for another attempt
)

// failureText is of each failure: most have a text of their program, or a short one.
const failureText = "status 500"

// heap returns the bytes that are in use.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// A new endpoint costs little memory, and so does one that has got what there is, or fails.
func TestMemoryPerEndpoint(t *testing.T) {
	many := int(histories(50_000))
	for _, test := range []struct {
		endpoints, apps, limit int
	}{
		{10_000, 10, maxLaneBytes},
		{many, 10, maxLaneBytes},
		{10_000, 10_000, maxLaneBytes + maxTailBytesPerApp},
		{many, many, maxLaneBytes + maxTailBytesPerApp},
	} {
		t.Run(fmt.Sprintf("%d in %d", test.endpoints, test.apps), func(t *testing.T) {
			w := newMemoryWorld(test.endpoints, test.apps, 1)
			w.lead()
			added := w.perEndpoint()
			w.offer()
			w.deliver(test.endpoints, true)
			used := w.perEndpoint()
			t.Logf("%d bytes for a new one, %d for one that has got a message", added, used)
			if limit := int64(test.limit); added > limit || used > limit {
				t.Errorf("an endpoint costs %d bytes when it is new and %d when it has got a message; the limit is %d", added, used, limit)
			}
			runtime.KeepAlive(w)
			w = newMemoryWorld(test.endpoints, test.apps, 1)
			w.lead()
			w.offer()
			w.deliver(test.endpoints, false)
			failing := w.perEndpoint()
			t.Logf("%d bytes for one that fails", failing)
			if limit := int64(test.limit + maxFailingBytes); failing > limit {
				t.Errorf("an endpoint that fails costs %d bytes; the limit is %d", failing, limit)
			}
			runtime.KeepAlive(w)
		})
	}
}

// An endpoint that has had much to do, and nothing now, costs no more than one that had little.
func TestMemoryAfterBurst(t *testing.T) {
	const endpoints = 1000
	messages := int(histories(200))
	w := newMemoryWorld(endpoints, 1, messages)
	w.lead()
	w.offer()
	w.deliver(endpoints*messages, false)
	w.now = w.now.Add(time.Minute)
	w.s.advance(w.now)
	w.deliver(endpoints*messages, true)
	if w.s.waiting > 0 {
		t.Fatalf("%d messages wait for another attempt", w.s.waiting)
	}
	used := w.perEndpoint() - int64(messages*16/endpoints) // the end of the log
	t.Logf("%d bytes for one that has got %d messages twice", used, messages)
	if used > maxLaneBytes {
		t.Errorf("an endpoint that has had much to do costs %d bytes; the limit is %d", used, maxLaneBytes)
	}
	runtime.KeepAlive(w)
}

// memoryWorld is a scheduler of which what it adds to the memory can be measured.
type memoryWorld struct {
	*shelf    // the backlog
	s         *Scheduler
	now       time.Time
	logs      map[webhook.ID][]*webhook.Message // by application
	endpoints []*webhook.Endpoint
	before    int64
}

// Window makes a memoryWorld a Backlog that need not look at all logs for one.
func (w *memoryWorld) Window(app, after webhook.ID, limit, bytes int) ([]*webhook.Message, error) {
	return w.logs[app][:min(limit, len(w.logs[app]))], nil // all of which are in memory, too
}

// newMemoryWorld makes endpoints in that many applications, each with some messages.
func newMemoryWorld(endpoints, apps, messages int) *memoryWorld {
	w := &memoryWorld{shelf: newShelf(), now: time.UnixMilli(1_790_000_000_000), logs: make(map[webhook.ID][]*webhook.Message)}
	for i := range endpoints {
		e := testEndpoint(uint32(i))
		e.App = webhook.NewID(1_790_000_000_000, 1, uint32(i%apps))
		w.endpoints = append(w.endpoints, e)
	}
	for i := range apps * messages {
		m := testMessage(10+i, 0)
		m.App = w.endpoints[i%apps].App
		w.add(m)
		w.logs[m.App] = append(w.logs[m.App], m)
	}
	return w
}

func (w *memoryWorld) lead() {
	w.before = heap()
	config := testConfig(64)
	config.Clock = func() time.Time { return w.now }
	w.s = New(w, 2, config, slog.New(slog.DiscardHandler))
	w.s.Apply(webhook.Changes{Endpoints: w.endpoints})
}

func (w *memoryWorld) perEndpoint() int64 { return (heap() - w.before) / int64(len(w.endpoints)) }

func (w *memoryWorld) offer() { offer(w.s, w.log) }

// deliver makes so many attempts, which all succeed, or all fail.
func (w *memoryWorld) deliver(attempts int, succeed bool) {
	status := webhook.StatusSuccess
	if !succeed {
		status = webhook.StatusFail
	}
	outcomes := make([]webhook.Outcome, 0, 64)
	for range attempts {
		d, _ := w.s.Next()
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Status: status, Duration: time.Millisecond}
		if outcomes = append(outcomes, w.s.Done(d, a, Verdict{Text: failureText})); len(outcomes) == cap(outcomes) {
			w.s.Settle(w.s.Checkpoint(outcomes, 64))
			outcomes = outcomes[:0]
		}
	}
	w.s.Settle(w.s.Checkpoint(outcomes, 64))
}
