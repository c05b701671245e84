package wal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

// tallyCheck sums up the tallies of each scope. Each attempt was counted once in each.
type tallyCheck struct {
	*checkedCatalog
	sums  map[tallyPlace]*[scopes]Tally
	bytes [len(periods) * scopes]int64
}

// tallyPlace is one period of time.
type tallyPlace struct {
	period Period
	start  uint64
}

func (c *tallyCheck) add(place tallyPlace, s scope, tally *Tally) {
	if c.sums[place] == nil {
		c.sums[place] = new([scopes]Tally)
	}
	c.sums[place][s].Add(tally)
}

// checkTally checks the counts of one period.
func (c *tallyCheck) checkTally(key, value []byte) {
	p, owner, start := parseTallyKey(key)
	if int(p) >= len(periods) || owner.scope >= scopes || owner.id.IsZero() != (owner.scope == scopeAll) {
		c.violated("the tally %q has an invalid key", key)
		return
	}
	what := fmt.Sprintf("the tally of %s from %s", ownerName(owner), clockTime(int64(start)*periods[p].length).Format(time.RFC3339))
	c.bytes[int(p)*scopes+int(owner.scope)] += int64(len(key) + len(value))
	t, err := decodeTally(value)
	switch {
	case err != nil:
		c.violated("%s can't be read: %x", what, value)
	case start > uint64(c.meta.clock/periods[p].length):
		c.violated("%s is in the future: the log's clock is at %s", what, c.clock())
	default:
		c.add(tallyPlace{p, start}, owner.scope, &t)
	}
}

func ownerName(o TallyOwner) string {
	switch o.scope {
	case scopeAll:
		return "all attempts"
	case scopeApplication:
		return appName(o.id)
	default:
		return endpointName(o.id)
	}
}

// checkRecent checks the counts of an application that are not yet in tallies.
func (c *tallyCheck) checkRecent(key, value []byte) {
	owner := AttemptsOf(webhook.ID(key[1:]))
	switch {
	case owner.id.IsZero():
		owner = AllAttempts
	case c.apps[owner.id] == nil:
		c.violated("the recent attempts of %s are counted, but it does not exist", ownerName(owner))
	}
	r, err := decodeRecent(value)
	if err != nil {
		c.violated("the counts of recent attempts of %s can't be read: %v", ownerName(owner), err)
		return
	}
	c.addRecent(owner, r)
}

// addRecent counts attempts that are not yet in tallies.
func (c *tallyCheck) addRecent(owner TallyOwner, r *recent) {
	t, err := r.tally(nil)
	switch {
	case err != nil:
		c.violated("the counts of recent attempts of %s can't be read: %x", ownerName(owner), r.data)
		return
	case r.start > uint64(c.meta.clock/periods[FiveMinutes].length):
		c.violated("the recent attempts of %s are in the future: the log's clock is at %s", ownerName(owner), c.clock())
		return
	case t.empty():
		return
	}
	for p := range Period(len(periods)) {
		start := uint64(p.First(FiveMinutes.Begin(int64(r.start))))
		c.add(tallyPlace{p, start}, owner.scope, &t)
	}
}

// checkTallies compares the sums of the scopes, and the sizes of the queues with those that meta
// has.
func (c *tallyCheck) checkTallies() {
	for _, id := range slices.SortedFunc(maps.Keys(c.cursors), webhook.ID.Compare) {
		c.addRecent(AttemptsAt(id), &c.cursors[id].counts.recent)
	}
	for i, bytes := range c.bytes {
		if counted := c.meta.tallies[i].bytes; bytes != counted {
			c.violated("the tallies of period %d and scope %d take %d bytes, but the store counts %d", i/scopes, i%scopes, bytes, counted)
		}
	}
	places := slices.SortedFunc(maps.Keys(c.sums), func(a, b tallyPlace) int {
		return cmp.Or(cmp.Compare(a.period, b.period), cmp.Compare(a.start, b.start))
	})
	for _, place := range places {
		if c.leavesTally(place) {
			continue
		}
		sums := c.sums[place]
		for s := scopeApplication; s < scopes; s++ {
			if !slices.Equal(sums[s].cells, sums[scopeAll].cells) {
				c.violated("from %s on, the tallies of scope %d and period %d count %v, but those of all attempts count %v",
					clockTime(int64(place.start)*periods[place.period].length).Format(time.RFC3339), s, place.period, sums[s].cells, sums[scopeAll].cells)
			}
		}
	}
}

// leavesTally reports whether some of the tallies of a period may have left already.
func (c *tallyCheck) leavesTally(place tallyPlace) bool {
	for s := range scope(scopes) {
		if place.start < c.meta.tallies.of(place.period, s).floor {
			return true
		}
	}
	return place.period.over(place.start, c.meta.clock)
}
