package wal

import (
	"time"

	"hookwheel/webhook"
)

// First returns the number of the period that contains a time, counted from the Unix epoch.
func (p Period) First(t time.Time) int64 { return t.UnixMilli() / periods[p].length }

// Begin returns when a period begins.
func (p Period) Begin(number int64) time.Time {
	return time.UnixMilli(number * periods[p].length).UTC()
}

// Length returns the length of a period.
func (p Period) Length() time.Duration { return time.Duration(periods[p].length) * time.Millisecond }

// Tallies counts the attempts of some owners in each of count periods from first on, and calls see
// for each owner in turn. The list is reused. It reads one record for each owner and period.
func (r *Reader) Tallies(owners []TallyOwner, p Period, first int64, count int, see func(i int, list []Tally)) error {
	list := make([]Tally, count)
	queues := r.pending.state().tallies
	return r.read(func(v dbView) error {
		for i, owner := range owners {
			clear(list)
			if err := queues.readTallies(v, owner, p, first, list); err != nil {
				return err
			}
			see(i, list)
		}
		return nil
	})
}

func (q *tallyQueues) readTallies(v dbView, owner TallyOwner, p Period, first int64, list []Tally) error {
	for i := range list {
		value, found, err := v.get(tallyKey(p, owner, uint64(first+int64(i))))
		if err != nil {
			return err
		}
		if found {
			if list[i], err = decodeTally(value); err != nil {
				return err
			}
		}
	}
	r, err := readRecentOf(v, owner)
	if err != nil || r == nil {
		return err
	}
	at := p.First(FiveMinutes.Begin(int64(r.start))) - first
	if at < 0 || at >= int64(len(list)) || uint64(first+at) < q.of(p, owner.scope).floor {
		return nil
	}
	t, err := r.tally(nil)
	list[at].Add(&t)
	return err
}

// readRecentOf returns the counts that are not yet in tallies, or nil.
func readRecentOf(v dbView, owner TallyOwner) (*recent, error) {
	if owner.scope == scopeEndpoint {
		c, err := v.cursor(owner.id)
		if err != nil || c == nil {
			return nil, err
		}
		return &c.counts.recent, nil
	}
	value, found, err := v.get(recentKey(owner.id))
	if err != nil || !found {
		return nil, err
	}
	return decodeRecent(value)
}

// TalliedFrom returns the time before which the tallies of one period have left, for owners like
// this one; zero: none has.
func (r *Reader) TalliedFrom(owner TallyOwner, p Period) time.Time {
	queues := r.pending.state().tallies
	floor := queues.of(p, owner.scope).floor
	if floor == 0 {
		return time.Time{}
	}
	return p.Begin(int64(floor))
}

// Stats counts what an endpoint was sent in some hours, and what waits for it now.
type Stats struct {
	Succeeded, Failed, Canceled uint64 // attempts
	Pending                     uint64 // messages in its held set and its manual set
	Retrying                    uint64 // messages in the retry set
}

// Stats counts an endpoint's attempts from the hour of since to the hour of until.
func (r *Reader) Stats(endpoint webhook.ID, since, until time.Time) (stats Stats, err error) {
	first := max(OneHour.First(since), OneHour.First(until)-periods[OneHour].kept/periods[OneHour].length)
	queues := r.pending.state().tallies
	err = r.read(func(v dbView) error {
		c, err := v.cursor(endpoint)
		switch {
		case err != nil:
			return err
		case c == nil:
			return errNoEndpoint
		}
		stats.Pending, stats.Retrying = c.counts.held+c.counts.manual, c.counts.waiting
		hours := make([]Tally, OneHour.First(until)-first+1)
		err = queues.readTallies(v, AttemptsAt(endpoint), OneHour, first, hours)
		for i := range hours {
			t := &hours[i]
			stats.Succeeded, stats.Failed, stats.Canceled = stats.Succeeded+t.Succeeded(), stats.Failed+t.Failed(), stats.Canceled+t.Canceled()
		}
		return err
	})
	return stats, err
}
