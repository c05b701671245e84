package scheduler

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// A message that a user requests is sent even if the endpoint has received it, and beside a planned
// retry. A success settles both.
func TestManual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		had, waits := testMessage(10, 10), testMessage(11, 10)
		b.add(had, waits)
		b.cursors[e.ID] = waits.ID
		b.retries[e.ID] = []webhook.Retry{{Message: waits.ID, Made: 1, Spent: 1, Due: time.Now().Add(time.Hour).Truncate(time.Millisecond)}}
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return true }, nil)
		synctest.Wait() // it has looked at its sets
		b.mu.Lock()
		b.manual[e.ID] = []webhook.Manual{{Message: had.ID, Number: 1}, {Message: waits.ID, Number: 1}}
		b.mu.Unlock()
		wake(l.s, e.ID)
		await(t, b, []*webhook.Endpoint{e})
		synctest.Wait()
		if n := l.s.Stats().Retries; n != 0 {
			t.Errorf("%d lines of the retry set are in memory still", n)
		}
		l.stop()
	})
}

// A message that was delivered on a user's request while another attempt was in flight is not sent
// again when that attempt fails.
func TestManualBesideAttempt(t *testing.T) {
	for _, source := range []webhook.Source{webhook.SourceLog, webhook.SourceRetry} {
		runInBubble(t, fmt.Sprint(source), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			b.add(testMessage(10, 10))
			m := b.log[0]
			if source == webhook.SourceRetry {
				b.cursors[e.ID] = m.ID
				b.retries[e.ID] = []webhook.Retry{{Message: m.ID, Made: 1, Spent: 1, Due: time.Now().Truncate(time.Millisecond)}}
			}
			begun, goOn := make(chan webhook.Source, 10), make(chan struct{})
			l := leadTo(t, b, []*webhook.Endpoint{e}, 2, func(d webhook.Delivery) bool {
				begun <- d.Source
				if d.Source == source {
					<-goOn
				}
				return d.Source == webhook.SourceManual
			}, nil)
			if got := <-begun; got != source {
				t.Fatalf("it comes from %v first", got)
			}
			b.mu.Lock()
			b.manual[e.ID] = []webhook.Manual{{Message: m.ID, Number: 1}}
			b.mu.Unlock()
			wake(l.s, e.ID)
			await(t, b, []*webhook.Endpoint{e})
			close(goOn)
			time.Sleep(time.Minute) // many delays of the schedule
			l.stop()
			if n := len(begun); n != 1 {
				t.Errorf("there were %d attempts, want two", n+1)
			}
		})
	}
}

// A message of a task that fails is tried again as the schedule says, and the lane goes on
// meanwhile.
func TestTaskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		b.add(testMessage(10, 10), testMessage(11, 10))
		replayed := b.log[0].ID
		b.cursors[e.ID] = replayed
		b.manual[e.ID] = []webhook.Manual{{Message: replayed, Number: 1, Task: webhook.NewID(1_790_000_000_000, 9, 0), Retry: true}}
		var tries atomic.Int32
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return d.ID != replayed || tries.Add(1) > 2 }, nil)
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
	})
}

// Nothing more of a canceled task is sent, even if lines of it are in memory. What a user requested
// is sent.
func TestCanceledTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		task := webhook.NewID(1_790_000_000_000, 9, 0)
		for i := range 100 {
			m := testMessage(10+i, 10)
			b.add(m)
			b.cursors[e.ID] = m.ID
			b.manual[e.ID] = append(b.manual[e.ID], webhook.Manual{Message: m.ID, Number: 1, Task: task})
		}
		b.manual[e.ID][99].Task = webhook.ID{}
		asked := b.log[99].ID
		var tasks atomic.Int32
		sent := make(chan struct{})
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
			if d.ID == asked {
				close(sent)
				return true
			}
			tasks.Add(1)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pausedTasks = map[webhook.ID]bool{task: true}
			b.manual[e.ID] = slices.DeleteFunc(b.manual[e.ID], func(m webhook.Manual) bool { return !m.Task.IsZero() && m.Message != d.ID })
			return true
		}, nil)
		defer l.stop()
		receive(t, sent, "the message that a user requested was not sent")
		if n := tasks.Load(); n != 1 {
			t.Errorf("%d messages of the task were sent, want the one that was under way", n)
		}
	})
}

// Lines of a paused task are not read again and again. When the task goes on, so do its lines.
func TestPausedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lines = 2*maxManual + 10
		b := newShelf()
		e := testEndpoint(0)
		task := webhook.NewID(1_790_000_000_000, 9, 0)
		for i := range lines {
			m := testMessage(10+i, 10)
			b.add(m)
			b.cursors[e.ID] = m.ID
			b.manual[e.ID] = append(b.manual[e.ID], webhook.Manual{Message: m.ID, Number: 1, Task: task})
		}
		b.manual[e.ID][lines-1].Task = webhook.ID{}
		asked := b.log[lines-1].ID
		var tasks atomic.Int32
		sent := make(chan struct{})
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
			if d.ID == asked {
				close(sent)
			} else if tasks.Add(1) == 1 {
				b.mu.Lock()
				b.pausedTasks = map[webhook.ID]bool{task: true}
				b.mu.Unlock()
			}
			return true
		}, nil)
		defer l.stop()
		receive(t, sent, "the message that a user requested was not sent")
		time.Sleep(time.Minute)
		if n := tasks.Load(); n != 1 {
			t.Errorf("%d messages of the task were sent, want the one that was under way", n)
		}
		b.mu.Lock()
		reads := b.manualReads
		b.mu.Unlock()
		if reads > 10 {
			t.Errorf("the set was read %d times", reads)
		}
		b.mu.Lock()
		b.pausedTasks = nil
		b.mu.Unlock()
		wake(l.s, e.ID)
		if !until(func() bool { return tasks.Load() == lines-1 }) {
			t.Errorf("%d of %d messages of the task were sent after it went on", tasks.Load(), lines-1)
		}
	})
}
