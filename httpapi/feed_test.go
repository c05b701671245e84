package httpapi

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

func testEvent(n int, status webhook.Status) wal.Event {
	id := webhook.NewID(1_790_000_000_000+int64(n)*4, uint64(n), 0)
	return wal.Event{ID: id, App: webhook.ID{1}, Attempt: &webhook.Attempt{ID: id, Status: status, Duration: time.Duration(n) * time.Millisecond}}
}

// TestFeed: each reader gets all events at its own pace, until the oldest ones have left.
func TestFeed(t *testing.T) {
	const events, kept = 1000, 100
	live := &wal.Tail{Events: make(chan wal.Event)}
	f := newFeed(live, func() uint64 { return 7 })
	f.limit = kept * itemCost
	all, own, other := f.join(webhook.ID{}), f.join(webhook.ID{1}), f.join(webhook.ID{2})
	go f.collect()
	firstKept := func() (first uint64, count int) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return all.first, len(all.recent)
	}
	readers := make(chan error, 8)
	for i := range cap(readers) {
		view := []*feedView{all, own}[i%2]
		go func() {
			step, next := make([]*feedItem, 16), uint64(0)
			for next < events {
				part, known := view.read(next, step)
				if !known {
					next, _ = firstKept()
					continue
				}
				for i := range part.count {
					if at := step[i].event.ID.Index(); at != next+uint64(i) {
						readers <- fmt.Errorf("event %d is %d", next+uint64(i), at)
						return
					}
				}
				if next += uint64(part.count); part.count == 0 {
					<-part.more
				}
			}
			readers <- nil
		}()
	}
	for n := range events {
		live.Events <- testEvent(n, webhook.StatusSuccess)
	}
	for range cap(readers) {
		if err := <-readers; err != nil {
			t.Error(err)
		}
	}
	for _, view := range []*feedView{all, own} {
		if _, known := view.read(0, make([]*feedItem, 1)); known {
			t.Error("the first event is still there")
		}
		if at, next := view.position(); next != events || at != testEvent(events-1, 0).ID {
			t.Errorf("at %s, next %d", at, next)
		}
	}
	if first, count := firstKept(); count != kept || first != events-kept {
		t.Errorf("%d events from %d on are kept", count, first)
	}
	<-f.endOfSecond()
	total := 0
	for range 3 {
		_, lag, counts := all.lastSecond()
		_, _, ofOwn := own.lastSecond()
		if _, _, ofOther := other.lastSecond(); lag != 7 || counts != ofOwn || ofOther != (attemptCounts{}) {
			t.Errorf("lag %d, %+v, of the application %+v, of another %+v", lag, counts, ofOwn, ofOther)
		}
		total += counts.results.Success
		<-f.endOfSecond()
	}
	if total > events {
		t.Errorf("%d attempts were counted", total)
	}
	close(live.Events)
	<-f.done
	if !f.hasEnded() {
		t.Error("the feed goes on")
	}
}

// TestFeedOfOthers: streams that are about one application are not woken by what happens elsewhere,
// and it is not kept for them, but their place goes on.
func TestFeedOfOthers(t *testing.T) {
	const events, wanted = 1000, 500
	live := &wal.Tail{Events: make(chan wal.Event)}
	f := newFeed(live, func() uint64 { return 0 })
	quiet, busy := f.join(webhook.ID{2}), f.join(webhook.ID{3})
	go f.collect()
	before, _ := quiet.read(0, nil)
	for n := range events {
		event := testEvent(n, webhook.StatusSuccess)
		if n == wanted {
			event.App = webhook.ID{3}
		}
		live.Events <- event
	}
	step := make([]*feedItem, 2)
	if part, _ := busy.read(0, step); part.count == 0 {
		<-part.more
	}
	if part, _ := busy.read(0, step); part.count != 1 || step[0].event.ID.Index() != wanted {
		t.Errorf("%d events of the application", part.count)
	}
	select {
	case <-before.more:
		t.Error("a stream is woken by events of others")
	default:
	}
	close(live.Events)
	<-f.done
	if after, _ := quiet.read(0, step); after.count != 0 || after.at != testEvent(events-1, 0).ID {
		t.Errorf("%d events, at %s", after.count, after.at)
	}
	if len(f.recent) != 1 {
		t.Errorf("%d events are kept", len(f.recent))
	}
	if quiet.leave() || !busy.leave() || len(f.views) != 0 {
		t.Errorf("%d views are left", len(f.views))
	}
}

// TestFeedEvicts: a view that is newer than the events that leave keeps its own.
func TestFeedEvicts(t *testing.T) {
	f := newFeed(&wal.Tail{Events: make(chan wal.Event)}, nil)
	f.limit = 3 * itemCost
	all := f.join(webhook.ID{})
	add := func(n int, app webhook.ID) {
		event := testEvent(n, webhook.StatusSuccess)
		event.App = app
		f.add(&event)
	}
	add(0, webhook.ID{1})
	add(1, webhook.ID{})
	own := f.join(webhook.ID{1})
	add(2, webhook.ID{1})
	add(3, webhook.ID{2})
	if all.first != 1 || len(all.recent) != 3 || own.first != 0 || len(own.recent) != 1 {
		t.Errorf("all: %d from %d on, own: %d from %d on", len(all.recent), all.first, len(own.recent), own.first)
	}
	add(4, webhook.ID{2})
	add(5, webhook.ID{2})
	if _, known := own.read(0, nil); known || own.first != 1 || all.first != 3 || f.bytes != f.limit {
		t.Errorf("own begins at %d, all at %d, with %d bytes", own.first, all.first, f.bytes)
	}
}

// TestSampler: what is sent is in order, no more than the rate, spread over the second; everything
// else is counted, and the few attempts without success are not drowned.
func TestSampler(t *testing.T) {
	for _, rate := range []int{0, 1, 2, 3, 5, 10, 100} {
		for _, load := range []struct{ good, bad int }{{0, 0}, {1, 0}, {1000, 0}, {1000, 5}, {1000, 1000}, {3, 1000}} {
			s := newSampler(rate)
			n, sent, sentBad := 0, 0, 0
			var skipped outcomeCounts
			for range s.parts {
				part := make([]webhook.Status, 0, load.good+load.bad)
				for range load.good {
					part = append(part, webhook.StatusSuccess)
				}
				for range load.bad {
					part = append(part, webhook.StatusFail)
				}
				for _, status := range part {
					n++
					s.add(&feedItem{event: testEvent(n, status)})
				}
				places := s.places
				chosen, left := s.end()
				sent += len(chosen)
				skipped.Success += left.Attempts.Success
				skipped.Fail += left.Attempts.Fail
				bad := 0
				for _, item := range chosen {
					if !isSuccess(&item.event) {
						bad++
					}
				}
				sentBad += bad
				if want := min(places, load.good+load.bad); len(chosen) != want {
					t.Errorf("rate %d, %+v: %d were sent, want %d", rate, load, len(chosen), want)
				}
				if want := min(load.bad, (places+1)/2); bad < want {
					t.Errorf("rate %d, %+v: %d without success were sent, want %d", rate, load, bad, want)
				}
				if !slices.IsSortedFunc(chosen, func(a, b *feedItem) int { return a.event.ID.Compare(b.event.ID) }) || !s.isEmpty() {
					t.Errorf("rate %d: out of order, or something is left", rate)
				}
			}
			if sent > rate || sent+skipped.Success+skipped.Fail != n || sentBad+skipped.Fail != load.bad*s.parts {
				t.Errorf("rate %d, %+v: %d sent, %+v skipped of %d", rate, load, sent, skipped, n)
			}
		}
	}
}

// TestSamplerIsFair: the beginning and the end of a part of a second are equally likely to be sent.
func TestSamplerIsFair(t *testing.T) {
	const rounds, events, rate = 500, 100, 40 // ten of a hundred each time
	var first int
	s := newSampler(rate)
	for range rounds {
		for n := range events {
			s.add(&feedItem{event: testEvent(n, webhook.StatusSuccess)})
		}
		chosen, _ := s.end()
		for _, item := range chosen {
			if item.event.ID.Index() < events/2 {
				first++
			}
		}
	}
	if all := rounds * rate / 4; first < all*2/5 || first > all*3/5 {
		t.Errorf("%d of %d sent are from the first half", first, all)
	}
}

// TestLatencyOfPulse: quantiles are at most a quarter too high, and never too low.
func TestLatencyOfPulse(t *testing.T) {
	last := -1
	for ms := range 300_000 {
		bucket := durationBucket(time.Duration(ms) * time.Millisecond)
		if bucket < last || bucket > last+1 {
			t.Fatalf("%d ms is in bucket %d, after %d", ms, bucket, last)
		}
		last = bucket
		if end := bucketEnd(bucket); bucket < durationBuckets-1 && (end < ms || end > ms+ms/4) {
			t.Fatalf("%d ms is shown as %d", ms, end)
		}
	}
	var c attemptCounts
	if c.latency() != (latencyOut{}) {
		t.Error("no attempts have a latency")
	}
	for n := range 100 {
		c.count(testEvent(n+1, webhook.StatusSuccess).Attempt)
	}
	c.count(testEvent(5000, webhook.StatusCanceled).Attempt)
	if got := c.latency(); *got.P50 < 50 || *got.P50 > 63 || *got.P95 < 95 || *got.P99 > 124 {
		t.Errorf("p50 %d, p95 %d, p99 %d", *got.P50, *got.P95, *got.P99)
	}
}
