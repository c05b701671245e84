package scheduler

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"hookwheel/webhook"
)

// checkStates checks that each lane is where its state says, and nowhere else: in the queue of its
// application, among those that wait until something is recorded, or among those that wait for
// room. No turn may be under way.
func checkStates(t *testing.T, s *Scheduler) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[*lane][]state)
	shares := make(map[*share]bool)
	for _, tail := range s.tails.byApp {
		shares[tail.share] = true
	}
	for share := range shares {
		for c := range share.lines {
			line := &share.lines[c]
			lanes := line.lanes.members[line.lanes.first:]
			for _, l := range lanes {
				found[l] = append(found[l], queued)
			}
			queue := &s.workers.queues[c]
			if inQueue := slices.Contains(queue.members[queue.first:], line); inQueue != (len(lanes) > 0) {
				t.Errorf("a line of %d lanes is in the queue: %t", len(lanes), inQueue)
			}
		}
		for _, r := range share.awaiting {
			found[r.lane] = append(found[r.lane], awaitingMemory)
		}
	}
	for _, l := range s.unrecorded.stalled {
		found[l] = append(found[l], stalled)
	}
	for _, l := range s.lanes {
		if _, known := found[l]; !known {
			found[l] = nil
		}
	}
	for l, states := range found {
		switch {
		case l.state == gone && len(states) <= 1: // what it was when it was dropped
		case l.state == idle && len(states) == 0:
		case len(states) == 1 && states[0] == l.state:
		default:
			t.Errorf("a lane in state %d is where those of %v are", l.state, states)
		}
		if s.lanes[l.endpoint.ID] != l && l.state != gone {
			t.Errorf("a lane in state %d is not among the lanes", l.state)
		}
		if inLine := slices.Contains(l.tail.line, l); inLine != l.inLine {
			t.Errorf("a lane is in line: %t, and says %t", inLine, l.inLine)
		}
	}
}

// A lane changes its state only as follows says, and one that is gone stays so.
func TestStates(t *testing.T) {
	for from := idle; from <= gone; from++ {
		for to := idle; to <= gone; to++ {
			l := &lane{state: from}
			if changed := l.become(to); changed != slices.Contains(follows[from], to) || changed != (l.state == to && from != to) {
				t.Errorf("from %d to %d: changed %t, and is %d", from, to, changed, l.state)
			}
		}
	}
	if len(follows[gone]) > 0 {
		t.Error("a lane that is gone comes back")
	}
}

// While much that was decided is not recorded, lanes decide nothing more. When it is, they go on.
func TestDecidedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, lanes = 2 * maxAhead, 2 * maxDecided / maxAhead
		b := newShelf()
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		for i := range lanes {
			add(s, testEndpoint(uint32(i)))
		}
		for i := range messages {
			m := testMessage(10+i, 0)
			m.Expunged = true // so that it is canceled
			b.add(m)
		}
		offer(s, b.log)
		ctx, end := context.WithCancel(t.Context())
		go s.Run(ctx)
		go s.Next() // there is nothing to send
		synctest.Wait()
		if n := len(s.unrecorded.decided); n < maxDecided || n > maxDecided+lanes || len(s.unrecorded.stalled) == 0 {
			t.Errorf("%d outcomes are decided, and %d lanes wait", n, len(s.unrecorded.stalled))
		}
		checkStates(t, s)
		for {
			list := s.Checkpoint(nil, 512)
			if len(list) == 0 {
				break
			}
			b.record(t, list, func(webhook.ID, *webhook.Message) bool { return true })
			s.Settle(list)
			synctest.Wait()
		}
		if n := len(b.settled); n != lanes*messages {
			t.Errorf("%d of %d messages were recorded as canceled", n, lanes*messages)
		}
		checkStates(t, s)
		end()
	})
}

// A message that is held while the store is asked for those held before, and has none of them, is
// not forgotten.
func TestHeldWhileReading(t *testing.T) {
	o := newOrder(webhook.OrderingKey, nil)
	const key = 7
	hold := func(index int) {
		m := testMessage(index, 0).ID
		o.hold(key, m)
		o.recordedHold(key, m)
	}
	hold(10) // a user's attempt at it succeeds, so that it is no longer held
	counted := o.keys[o.take()].held
	hold(11)
	if o.lost(key, counted); o.take() != key {
		t.Error("the newer message is not sent")
	}
	if o.lost(key, o.keys[key].held); o.isBlocked(key) || len(o.keys) > 0 {
		t.Error("the key of no message is still known")
	}
}
