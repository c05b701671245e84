package httpapi

import (
	"math/rand/v2"
	"slices"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const maxTailRate = 100 // events per second

// sampler chooses which events of a stream with a rate are sent: in each part of a second, the same
// share of all events, except that successful attempts leave half of the places to others, which
// may be few.
type sampler struct {
	rate  int // events per second
	parts int // of a second
	carry int // parts of a place that the present part of a second did not get

	places  int         // in this part
	good    sample      // successful attempts
	other   sample      // all other events
	skipped skippedOut  // events of this part that are not sent
	chosen  []*feedItem // reused
}

// sample is a random choice of some events (Algorithm R).
type sample struct {
	items []*feedItem
	seen  int
}

// skippedOut counts the events that were left out.
type skippedOut struct {
	Attempts outcomeCounts `json:"attempts"`
	Changes  int           `json:"changes"`
}

// outcomeCounts counts attempts by result.
type outcomeCounts struct {
	Success  int `json:"success"`
	Fail     int `json:"fail"`
	Canceled int `json:"canceled"`
}

func (c *outcomeCounts) count(status webhook.Status) {
	switch status {
	case webhook.StatusSuccess:
		c.Success++
	case webhook.StatusCanceled:
		c.Canceled++
	default:
		c.Fail++
	}
}

func newSampler(rate int) *sampler {
	s := &sampler{rate: rate, parts: max(1, min(4, rate))}
	s.begin()
	return s
}

// window returns the length of a part of a second.
func (s *sampler) window() time.Duration { return time.Second / time.Duration(s.parts) }

func (s *sampler) begin() {
	s.places = (s.rate + s.carry) / s.parts
	s.carry = (s.rate + s.carry) % s.parts
	s.skipped = skippedOut{}
}

func isSuccess(event *wal.Event) bool {
	return event.Attempt != nil && event.Attempt.Status == webhook.StatusSuccess
}

// add takes an event. Each sample may need all places.
func (s *sampler) add(item *feedItem) {
	into := &s.other
	if isSuccess(&item.event) {
		into = &s.good
	}
	out := into.add(item, s.places)
	if out != nil {
		s.skip(out)
	}
}

// add returns the event that is left out in place of the new one, or nil.
func (s *sample) add(item *feedItem, places int) (out *feedItem) {
	s.seen++
	if len(s.items) < places {
		s.items = append(s.items, item)
		return nil
	}
	if i := rand.IntN(s.seen); i < places {
		item, s.items[i] = s.items[i], item
	}
	return item
}

func (s *sampler) skip(item *feedItem) {
	if a := item.event.Attempt; a != nil {
		s.skipped.Attempts.count(a.Status)
	} else {
		s.skipped.Changes++
	}
}

// isEmpty reports whether nothing was added in this part of a second.
func (s *sampler) isEmpty() bool { return s.good.seen == 0 && s.other.seen == 0 }

// end ends a part of a second. It returns the chosen events, in order and valid until the next
// call, and the counts of the others.
func (s *sampler) end() ([]*feedItem, skippedOut) {
	others := min(len(s.other.items), max((s.places+1)/2, s.places-len(s.good.items)))
	s.chosen = s.chosen[:0]
	for _, part := range []struct {
		from  *sample
		count int
	}{{&s.other, others}, {&s.good, min(len(s.good.items), s.places-others)}} {
		items := part.from.items
		rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
		s.chosen = append(s.chosen, items[:part.count]...)
		for _, item := range items[part.count:] {
			s.skip(item)
		}
		clear(items)
		part.from.items, part.from.seen = items[:0], 0
	}
	slices.SortFunc(s.chosen, func(a, b *feedItem) int { return a.event.ID.Compare(b.event.ID) })
	skipped := s.skipped
	s.begin()
	return s.chosen, skipped
}
