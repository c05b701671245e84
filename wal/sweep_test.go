package wal

import (
	"bytes"
	"context"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// sweepWorld is three stores that apply the same entries. The second is closed and opened again now
// and then, the third takes over the state of the first.
type sweepWorld struct {
	t      *testing.T
	rnd    *rand.Rand
	w      *Writer
	stores [3]*Store
	dir    string // of the second
	seen   int    // records, deleted ones too, that sweeping has passed on the second
	sweeps int
}

func newSweepWorld(t *testing.T, rnd *rand.Rand) *sweepWorld {
	w := &sweepWorld{t: t, rnd: rnd, dir: memdir.New(t)}
	w.w = NewWriter(w)
	w.stores = [3]*Store{closing(t, openTest(t, memdir.New(t))), openTest(t, w.dir), closing(t, openTest(t, memdir.New(t)))}
	t.Cleanup(func() {
		if w.stores[1] == nil { // it is being opened again
			return
		}
		if err := w.stores[1].Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Propose applies a command to all stores.
func (w *sweepWorld) Propose(ctx context.Context, command []byte) (reply []byte, err error) {
	var replies [3][]byte
	for i, s := range w.stores {
		before := s.pending.seen
		if replies[i], err = (direct{s, 1}).Propose(ctx, command); err != nil {
			return nil, err
		}
		if i == 1 && kind(command[0]) == kindSweep {
			w.seen += s.pending.seen - before
			w.sweeps++
		}
		if !bytes.Equal(replies[i], replies[0]) {
			w.t.Errorf("store %d replies %q instead of %q", i, replies[i], replies[0])
		}
	}
	return replies[0], nil
}

// disturb restarts the second store, or has the third take over the state of the first.
func (w *sweepWorld) disturb() {
	w.t.Helper()
	switch w.rnd.Intn(3) {
	case 0:
		s := w.stores[1]
		w.stores[1] = nil
		w.stores[1] = reopen(w.t, s, w.dir)
	case 1:
		if err := w.stores[2].RestoreSnapshot(bytes.NewReader(content(w.t, w.stores[0]))); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *sweepWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// app creates an application with endpoints, and messages, so many in an entry.
func (w *sweepWorld) app(endpoints, entries, each int) (app webhook.ID, ids, messages []webhook.ID) {
	w.t.Helper()
	a, _, err := w.w.CreateApplication(w.t.Context(), webhook.Application{Name: "a"}, false)
	w.must(err)
	for range endpoints {
		e, err := w.w.CreateEndpoint(w.t.Context(), webhook.Endpoint{App: a.ID, URL: "http://x/"})
		w.must(err)
		ids = append(ids, e.ID)
	}
	for range entries {
		var list []webhook.Message
		for i := range each {
			list = append(list, webhook.Message{EventType: "a", Payload: []byte("{}"), OrderingKey: "k", Retention: time.Duration(i%3) * time.Hour})
		}
		made, err := w.w.CreateMessages(w.t.Context(), a.ID, placed(list...))
		w.must(err)
		for i := range made {
			messages = append(messages, made[i].ID)
		}
	}
	return a.ID, ids, messages
}

// attempt records a first attempt at each message; next is when the retry is due, zero: it was
// delivered.
func (w *sweepWorld) attempt(endpoint webhook.ID, messages []webhook.ID, next time.Time, hold bool) {
	w.t.Helper()
	for part := range slices.Chunk(messages, 100) {
		p := webhook.Progress{Endpoint: endpoint, Cursor: part[len(part)-1]}
		for _, m := range part {
			o := webhook.Outcome{Attempt: webhook.Attempt{Message: m, Number: 1, URL: "http://x/", Next: next}, Key: webhook.OrderingKeyHash("k")}
			if hold {
				o = webhook.Outcome{Attempt: webhook.Attempt{Message: m}, Hold: true, Key: webhook.OrderingKeyHash("k")}
			}
			p.Outcomes = append(p.Outcomes, o)
		}
		w.must(w.w.Leader(1).RecordProgress(w.t.Context(), []webhook.Progress{p}))
	}
}

// sweep lets some entries sweep, whose commands ask for any number of records.
func (w *sweepWorld) sweep(entries int) {
	w.t.Helper()
	for range entries {
		w.must(w.w.client.proposeEnd(w.t.Context(), kindSweep, sweep{1 + w.rnd.Intn(sweepPerEntry/2)}))
		if w.rnd.Intn(12) == 0 {
			w.disturb()
		}
	}
}

// sets fills the sets of endpoints: the first retries, the second holds, the third was asked for
// messages by hand.
func (w *sweepWorld) sets(app webhook.ID, endpoints, messages []webhook.ID) {
	w.t.Helper()
	w.attempt(endpoints[0], messages, time.UnixMilli(testClock+hour), false)
	w.attempt(endpoints[1], messages, time.Time{}, true)
	w.attempt(endpoints[2], messages, time.Time{}, false)
	for _, m := range messages[:len(messages)/4] {
		w.must(w.w.Resend(w.t.Context(), app, endpoints[2], m))
	}
}

// often attempts the first message again and again at all endpoints.
func (w *sweepWorld) often(endpoints []webhook.ID, message webhook.ID, times int) {
	w.t.Helper()
	for number := range times {
		var list []webhook.Progress
		for _, e := range endpoints {
			o := webhook.Outcome{Attempt: webhook.Attempt{Message: message, Number: uint32(number + 1), URL: "http://x/", Next: time.UnixMilli(testClock + hour*int64(number+1))}, Key: webhook.OrderingKeyHash("k")}
			if number > 0 {
				o.Source, o.Due = webhook.SourceRetry, time.UnixMilli(testClock+hour*int64(number))
			}
			list = append(list, webhook.Progress{Endpoint: e, Cursor: message, Outcomes: []webhook.Outcome{o}})
		}
		w.must(w.w.Leader(1).RecordProgress(w.t.Context(), list))
	}
}

// Endpoints, applications and a message with many attempts are removed in any order, while nodes
// restart and take over snapshots. All nodes then have the same records, and none of what is gone.
// Sweeping has passed each record a bounded number of times: it goes on where it stopped, and does
// not walk over what Badger holds of the records that were removed before.
func TestSweep(t *testing.T) {
	w := newSweepWorld(t, seeded(t))
	large, largeEndpoints, largeMessages := w.app(3, 12, 60)
	w.sets(large, largeEndpoints, largeMessages)
	wide, wideEndpoints, wideMessages := w.app(3*sweepPerEntry/handOnCost, 4, 3)
	w.often(wideEndpoints[:20], wideMessages[0], 5)
	kept, keptEndpoints, keptMessages := w.app(20, 5, 60)
	w.sets(kept, keptEndpoints, keptMessages)
	w.often(keptEndpoints[3:], keptMessages[0], 30)

	before := len(recordsOf(t, content(t, w.stores[0])))
	removals := []func() error{
		func() error { return w.w.DeleteEndpoint(t.Context(), large, largeEndpoints[0]) },
		func() error { return w.w.DeleteApplication(t.Context(), wide) },
		func() error {
			return w.w.client.proposeEnd(t.Context(), kindRetain, retain{Before: testClock + day, Records: 50, Parts: []part{{kept, keptMessages[0]}}})
		},
	}
	for _, e := range keptEndpoints[:3] {
		removals = append(removals, func() error { return w.w.DeleteEndpoint(t.Context(), kept, e) })
	}
	w.rnd.Shuffle(len(removals), func(i, j int) { removals[i], removals[j] = removals[j], removals[i] })
	last := w.rnd.Intn(len(removals)) + 1
	removals = slices.Insert(removals, last, func() error { return w.w.DeleteApplication(t.Context(), large) })
	for i, remove := range removals {
		if err := remove(); err != nil && !(i > last && webhook.ErrorCode(err) == webhook.CodeNotFound) {
			t.Fatal(err)
		}
		w.sweep(w.rnd.Intn(6))
	}
	for i := 0; NewCleaner(w.stores[0], nil).isSweeping(); i++ {
		if i > 2000 {
			t.Fatal("there is always more to sweep")
		}
		w.sweep(1)
	}
	for i, s := range w.stores {
		if diff := differences(t, content(t, w.stores[0]), content(t, s)); len(diff) > 0 {
			t.Errorf("store %d differs from the first in %d records, such as %s", i, len(diff), diff[0])
		}
	}
	left := recordsOf(t, content(t, w.stores[0]))
	gone := append(append([]webhook.ID{large, wide, keptMessages[0]}, keptEndpoints[:3]...), append(largeEndpoints, wideEndpoints...)...)
	for key := range left {
		if strings.ContainsRune("!QVNFH", rune(key[0])) {
			continue // what was counted, changed or attempted stays until its time is over
		}
		if strings.ContainsRune("DOJ", rune(key[0])) || slices.ContainsFunc(gone, func(id webhook.ID) bool { return strings.Contains(key, string(id[:])) }) {
			t.Errorf("%q is left", key)
		}
	}
	removed := before - len(left)
	t.Logf("%d records removed by %d entries, which passed %d", removed, w.sweeps, w.seen)
	if limit := removed + 10*w.sweeps; w.seen > limit || removed < 3000 {
		t.Errorf("to remove %d records, %d entries passed %d, more than %d", removed, w.sweeps, w.seen, limit)
	}
}
