package scheduler

import (
	"slices"
	"sync"

	"hookwheel/webhook"
)

// scanTurns are when scans for an order find keys: one at a time, and applications take turns, so
// that one with many endpoints delays the scan of another by a part of one of its scans.
type scanTurns struct {
	mu     sync.Mutex
	taken  bool
	queues map[webhook.ID][]chan struct{} // who waits, by application
	order  []webhook.ID                   // applications in queues, in turn
}

func newScanTurns() *scanTurns { return &scanTurns{queues: make(map[webhook.ID][]chan struct{})} }

// await waits for a turn of an application. The caller must call end.
func (t *scanTurns) await(app webhook.ID) {
	turn := make(chan struct{})
	t.mu.Lock()
	if len(t.queues[app]) == 0 {
		t.order = append(t.order, app)
	}
	t.queues[app] = append(t.queues[app], turn)
	t.next()
	t.mu.Unlock()
	<-turn
}

func (t *scanTurns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	t.next()
}

// next gives the turn to the first of the next application, if it is free.
func (t *scanTurns) next() {
	if t.taken || len(t.order) == 0 {
		return
	}
	app := t.order[0]
	close(t.queues[app][0])
	t.taken = true
	t.order = slices.Delete(t.order, 0, 1)
	if t.queues[app] = t.queues[app][1:]; len(t.queues[app]) > 0 {
		t.order = append(t.order, app)
	} else {
		delete(t.queues, app)
	}
}
