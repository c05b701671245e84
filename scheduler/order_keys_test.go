package scheduler

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"hookwheel/webhook"
)

// TestKeysAreBounded has an endpoint that keeps an order per key, and never parks, fail each
// message, of a key of its own: from some on it reads no further, what is in memory of it is
// bounded, and it goes on when a key is free again.
func TestKeysAreBounded(t *testing.T) {
	w := newMemoryWorld(1, 1, maxKeys+200)
	w.endpoints[0].Ordering = webhook.OrderingKey
	for i, m := range w.log {
		m.OrderingKey = fmt.Sprint(i)
	}
	w.lead()
	w.offer()
	before := w.perEndpoint()
	w.deliver(maxKeys, false)
	l := w.s.lanes[w.endpoints[0].ID]
	if w.wants() || len(l.order.keys) != maxKeys {
		t.Fatalf("with %d blocked keys the log is read on", len(l.order.keys))
	}
	if l.wakeup.next == nil {
		t.Error("nothing wakes the lane")
	}
	used := w.perEndpoint() - before
	t.Logf("%d bytes for each of %d keys", used/maxKeys, maxKeys)
	if used > 200*maxKeys {
		t.Errorf("%d keys take %d bytes", maxKeys, used)
	}
	w.s.mu.Lock()
	l.settle(&webhook.Outcome{Source: webhook.SourceRetry, Key: webhook.OrderingKeyHash("0"),
		Attempt: webhook.Attempt{Message: w.log[0].ID, Endpoint: l.endpoint.ID, Status: webhook.StatusSuccess}})
	l.enqueue()
	w.s.mu.Unlock()
	if !w.wants() {
		t.Error("though a key is free again, the log is not read on")
	}
	if d, _ := w.s.Next(); d.ID != w.log[maxKeys].ID {
		t.Errorf("message %d comes next", d.ID.Index())
	}
	runtime.KeepAlive(w)
}

// wants reports whether the only lane wants a turn.
func (w *memoryWorld) wants() bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.lanes[w.endpoints[0].ID].wants(w.now)
}

// TestKeysOfApplication: the keys of an application's endpoints count together, and those of all
// applications do. One that has few goes on whatever others have.
func TestKeysOfApplication(t *testing.T) {
	fill := func(o *order, keys int) {
		for key := range uint64(keys) {
			o.block(key+2, testMessage(int(key), 0).ID)
		}
	}
	all := new(keyCount)
	first, second := keyCount{all: all}, keyCount{all: all}
	full, other, few, stranger := newOrder(webhook.OrderingKey, &first), newOrder(webhook.OrderingKey, &first),
		newOrder(webhook.OrderingKey, &first), newOrder(webhook.OrderingKey, &second)
	fill(&full, maxKeys-1)
	fill(&other, maxKeys-1)
	fill(&few, minKeys-1)
	fill(&stranger, minKeys)
	if !full.isFull() || !other.isFull() || few.isFull() || stranger.isFull() {
		t.Errorf("full: %t, %t; %t, %t", full.isFull(), other.isFull(), few.isFull(), stranger.isFull())
	}
	all.add(maxKeysOfAll)
	if !stranger.isFull() || few.isFull() {
		t.Errorf("full: %t; %t", stranger.isFull(), few.isFull())
	}
	all.add(-maxKeysOfAll)
	full.become(order{})
	if other.isFull() || first.keys != maxKeys-1+minKeys-1 || all.keys != first.keys+minKeys {
		t.Errorf("%d and %d keys are counted", first.keys, all.keys)
	}
	for key := range uint64(minKeys) {
		stranger.unblock(key+2, testMessage(int(key), 0).ID)
	}
	if second.keys != 0 || all.keys != first.keys {
		t.Errorf("%d and %d keys are counted", second.keys, all.keys)
	}
}

// TestFreeKeysAreListedOnce: a key with many held messages is in the list of free keys once.
func TestFreeKeysAreListedOnce(t *testing.T) {
	o := newOrder(webhook.OrderingKey, nil)
	for i := range 100 {
		m := testMessage(i, 0).ID
		o.hold(7, m)
		o.recordedHold(7, m)
	}
	if len(o.free) != 1 {
		t.Errorf("it is there %d times", len(o.free))
	}
	for range 100 {
		if o.take() != 7 {
			t.Fatal("the key is not free")
		}
		o.took(7, webhook.ID{1})
		o.unblock(7, webhook.ID{1})
	}
	if len(o.keys) > 0 || o.take() != 0 {
		t.Errorf("%d keys are known", len(o.keys))
	}
}

// TestTailsAreForgotten removes the endpoints of applications: nothing is kept of these, once what
// was under way is back.
func TestTailsAreForgotten(t *testing.T) {
	w := newMemoryWorld(100, 100, 1)
	config := testConfig(4)
	config.Clock = func() time.Time { return w.now }
	w.s = New(w, 2, config, slog.New(slog.DiscardHandler))
	w.s.Apply(webhook.Changes{Endpoints: w.endpoints})
	w.offer()
	d, _ := w.s.Next()
	removed := make([]webhook.ID, len(w.endpoints))
	for i, e := range w.endpoints {
		removed[i] = e.ID
	}
	w.s.Apply(webhook.Changes{Removed: removed})
	if len(w.s.tails.byApp) != 1 {
		t.Errorf("%d applications are known, want the one with a delivery under way", len(w.s.tails.byApp))
	}
	w.s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
	if len(w.s.tails.byApp) != 0 || w.s.workers.shares != 0 {
		t.Errorf("%d applications are known", len(w.s.tails.byApp))
	}
}
