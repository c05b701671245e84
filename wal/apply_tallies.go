package wal

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"hookwheel/webhook"
)

// Period is a length of time over which attempts are counted.
type Period byte

// The periods; their numbers are in keys.
const (
	FiveMinutes Period = 0
	OneHour     Period = 1
	OneDay      Period = 2
)

const (
	minute = int64(60_000) // in milliseconds, as all that follows
	hour   = 60 * minute
	day    = 24 * hour
)

// periods are the lengths of the periods, and how long each is kept. That is a little longer than
// documented, for clients whose clocks are behind.
var periods = [...]struct{ length, kept int64 }{
	FiveMinutes: {5 * minute, 2*day + hour},
	OneHour:     {hour, 91 * day},
	OneDay:      {day, 732 * day},
}

// scope is what the attempts of a tally have in common.
type scope byte

// The scopes; their numbers are in keys.
const (
	scopeAll         scope = 0
	scopeApplication scope = 1
	scopeEndpoint    scope = 2
	scopes                 = 3
)

// TallyOwner is an application or an endpoint whose attempts are counted, or all of them.
type TallyOwner struct {
	scope scope
	id    webhook.ID // zero: all
}

// AllAttempts is the owner of all attempts.
var AllAttempts = TallyOwner{scope: scopeAll}

// AttemptsOf returns the owner of the attempts at the endpoints of an application.
func AttemptsOf(app webhook.ID) TallyOwner { return TallyOwner{scopeApplication, app} }

// AttemptsAt returns the owner of the attempts at an endpoint.
func AttemptsAt(endpoint webhook.ID) TallyOwner { return TallyOwner{scopeEndpoint, endpoint} }

// tallyQueue describes the tallies of one period and one scope. They leave in the order of their
// keys, the oldest first.
type tallyQueue struct {
	floor uint64 // tallies from before this one, in periods since the Unix epoch, have left or are leaving
	bytes int64  // of the others and of those that are leaving
}

// tallyQueues are in order of period and scope.
type tallyQueues [len(periods) * scopes]tallyQueue

func (q *tallyQueues) of(p Period, s scope) *tallyQueue { return &q[int(p)*scopes+int(s)] }

// tallyPrefix is the beginning of the keys of a queue.
func tallyPrefix(p Period, s scope) []byte { return []byte{keyCounts, byte(p), byte(s)} }

const tallyKeySize = 3 + 8 + idSize

// tallyKey: period | scope | start, in periods since the Unix epoch | owner
func tallyKey(p Period, o TallyOwner, start uint64) []byte {
	key := binary.BigEndian.AppendUint64(tallyPrefix(p, o.scope), start)
	return append(key, o.id[:]...)
}

func parseTallyKey(key []byte) (p Period, o TallyOwner, start uint64) {
	return Period(key[1]), TallyOwner{scope(key[2]), webhook.ID(key[3+8:])}, binary.BigEndian.Uint64(key[3:])
}

func recentKey(app webhook.ID) []byte { return idKey(keyRecent, app) }

func (n *catalog) loadRecent(v view) error {
	return v.scan([]byte{keyRecent}, func(key, value []byte) (err error) {
		n.recent[webhook.ID(key[1:])], err = decodeRecent(value)
		return err
	})
}

func encodeRecent(r *recent) []byte { return appendRecent([]byte{tallyVersion}, r) }

func decodeRecent(value []byte) (*recent, error) {
	in := newReader(value, tallyVersion)
	r := readRecent(in)
	return &r, in.end()
}

// tallyTable counts attempts for an entry.
type tallyTable struct{ *entry }

// count counts the attempts of a step at an endpoint.
func (e tallyTable) count(p *webhook.Progress) error {
	t := Tally{e.cells.step[:0]}
	for i := range p.Outcomes {
		if p.Outcomes[i].Attempt.Number != 0 {
			t.attempt(&p.Outcomes[i])
		}
	}
	e.cells.step = t.cells
	if t.empty() {
		return nil
	}
	app := e.store.catalog.endpoints[p.Endpoint].App
	if e.tallies == nil {
		e.tallies = make(map[webhook.ID]*Tally)
	}
	if e.tallies[app] == nil {
		e.tallies[app] = new(Tally)
	}
	e.tallies[app].Add(&t)
	return e.addRecent(AttemptsAt(p.Endpoint), &e.store.catalog.cursors[p.Endpoint].counts.recent, &t)
}

// keep adds what this entry counted to the counts of applications and of all attempts.
func (e tallyTable) keep() error {
	if len(e.tallies) == 0 {
		return nil
	}
	var all Tally
	for _, app := range slices.SortedFunc(maps.Keys(e.tallies), webhook.ID.Compare) {
		t := e.tallies[app]
		all.Add(t)
		if err := e.keepOne(AttemptsOf(app), t); err != nil {
			return err
		}
	}
	return e.keepOne(AllAttempts, &all)
}

func (e tallyTable) keepOne(owner TallyOwner, t *Tally) error {
	n := &e.store.catalog
	if owner.scope == scopeApplication && n.applications[owner.id] == nil { // this entry has deleted it
		return e.keepRecent(owner, &recent{e.fiveMinutes(), appendTally(nil, t)})
	}
	r := n.recent[owner.id]
	if r == nil {
		r = new(recent)
		n.recent[owner.id] = r
	}
	if err := e.addRecent(owner, r, t); err != nil {
		return err
	}
	e.batch.set(recentKey(owner.id), encodeRecent(r))
	return nil
}

// dropRecent ends the counting of an application that is deleted.
func (e tallyTable) dropRecent(app webhook.ID) error {
	r := e.store.catalog.recent[app]
	if r == nil {
		return nil
	}
	delete(e.store.catalog.recent, app)
	e.batch.delete(recentKey(app))
	return e.keepRecent(AttemptsOf(app), r)
}

// fiveMinutes returns the number of the present five minutes.
func (e tallyTable) fiveMinutes() uint64 {
	return uint64(e.batch.meta.clock / periods[FiveMinutes].length)
}

// addRecent adds to the counts of the present five minutes. If others are over, they become
// tallies of their own.
func (e tallyTable) addRecent(owner TallyOwner, r *recent, t *Tally) error {
	if now := e.fiveMinutes(); r.start != now {
		if err := e.keepRecent(owner, r); err != nil {
			return err
		}
		*r = recent{start: now}
	}
	sum, err := r.tally(e.cells.sum)
	if err != nil {
		return err
	}
	sum.Add(t)
	e.cells.sum = sum.cells
	r.data = appendTally(r.data[:0], &sum)
	return nil
}

// keepRecent adds the counts of five minutes to the tallies of all periods that contain them,
// unless their time is over.
func (e tallyTable) keepRecent(owner TallyOwner, r *recent) error {
	if len(r.data) == 0 {
		return nil
	}
	t, err := r.tally(nil)
	if err != nil {
		return err
	}
	for p := range Period(len(periods)) {
		start := r.start * uint64(periods[FiveMinutes].length) / uint64(periods[p].length)
		if err := e.add(p, owner, start, &t); err != nil {
			return err
		}
	}
	return nil
}

// add adds to a tally, unless its time is over.
func (e tallyTable) add(p Period, owner TallyOwner, start uint64, t *Tally) error {
	queue := e.batch.meta.tallies.of(p, owner.scope)
	if start < queue.floor || p.over(start, e.batch.meta.clock) {
		return nil
	}
	key := tallyKey(p, owner, start)
	was, found, err := e.store.pending.get(key)
	if err != nil {
		return err
	}
	sum := Tally{slices.Clone(t.cells)}
	if found {
		before, err := decodeTally(was)
		if err != nil {
			return err
		}
		sum.Add(&before)
		queue.bytes -= int64(len(key) + len(was))
	} else {
		was = nil
	}
	is := encodeTally(&sum)
	queue.bytes += int64(len(key) + len(is))
	e.batch.setChunk(key, was, is)
	return nil
}

// over reports whether a tally of the period that begins with start is kept no longer.
func (p Period) over(start uint64, clock int64) bool {
	return int64(start)*periods[p].length+periods[p].kept <= clock
}

// keepRecentOf is keepRecent for an endpoint that is deleted.
func (e tallyTable) keepRecentOf(endpoint webhook.ID, owner TallyOwner) error {
	c, err := e.view().cursor(endpoint)
	if err != nil || c == nil {
		return err
	}
	return e.keepRecent(owner, &c.counts.recent)
}

// attemptsAtDeleted returns the owner of the attempts at the deleted endpoints of an application.
func attemptsAtDeleted(app webhook.ID) TallyOwner { return TallyOwner{scopeEndpoint, app} }

// gather looks at up to budget tallies of a deleted endpoint, and reports whether that was all.
func (e tallyTable) gather(endpoint webhook.ID, g *gathering, budget *int) (all bool, err error) {
	clock, created := e.batch.meta.clock, endpoint.Time().UnixMilli()
	for ; int(g.period) < len(periods); g.period, g.start = g.period+1, 0 {
		length := periods[g.period].length
		queue := e.batch.meta.tallies.of(g.period, scopeEndpoint)
		oldest := max(created, clock-periods[g.period].kept-length, 0)
		g.start = max(g.start, uint64(oldest/length), queue.floor)
		for ; g.start <= uint64(clock/length); g.start++ {
			if *budget <= 0 {
				return false, nil
			}
			*budget--
			if err := e.gatherOne(endpoint, g, queue); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func (e tallyTable) gatherOne(endpoint webhook.ID, g *gathering, queue *tallyQueue) error {
	key := tallyKey(g.period, AttemptsAt(endpoint), g.start)
	value, found, err := e.store.pending.get(key)
	if err != nil || !found {
		return err
	}
	t, err := decodeTally(value)
	if err != nil {
		return err
	}
	queue.bytes -= int64(len(key) + len(value))
	e.batch.setChunk(key, value, nil)
	return e.add(g.period, attemptsAtDeleted(g.app), g.start, &t)
}

// forgetTallies removes tallies that are kept no longer, and the oldest ones of a queue that takes
// more than room bytes; 0: there is no such limit.
func (r *retainer) forgetTallies(room int64) error {
	budget := r.budget / 2 // the rest is for messages
	for p := range Period(len(periods)) {
		for s := range scope(scopes) {
			if err := r.forgetQueue(p, s, room, &budget); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *retainer) forgetQueue(p Period, s scope, room int64, budget *int) error {
	queue, n := r.batch.meta.tallies.of(p, s), &r.store.catalog
	prefix := tallyPrefix(p, s)
	from := n.forgotten.from(prefix)
	err := r.store.pending.seek(prefix, from, func(key, value []byte) error {
		_, _, start := parseTallyKey(key)
		if *budget <= 0 {
			return errStop
		}
		if start >= queue.floor {
			if !p.over(start, r.batch.meta.clock) && (room == 0 || queue.bytes <= room) {
				return errStop
			}
			queue.floor = start + 1 // all of this start leave, and none comes back
		}
		*budget--
		r.budget--
		queue.bytes -= int64(len(key) + len(value))
		from = bytes.Clone(key)
		r.batch.setChunk(from, bytes.Clone(value), nil)
		return nil
	})
	r.store.mu.Lock()
	n.forgotten.pass(from)
	r.store.mu.Unlock()
	return err
}

// forgotten are the keys up to which the queues of tallies are empty. Without them each step would
// walk over all that Badger still holds of records deleted before.
type forgotten map[[3]byte][]byte

func (f forgotten) from(prefix []byte) []byte {
	if key, found := f[[3]byte(prefix)]; found {
		return key
	}
	return prefix
}

func (f forgotten) pass(key []byte) { f[[3]byte(key)] = key }

func (q *tallyQueues) append(dst []byte) []byte {
	for i := range q {
		dst = binary.AppendUvarint(dst, q[i].floor)
		dst = binary.AppendUvarint(dst, uint64(q[i].bytes))
	}
	return dst
}

func (q *tallyQueues) read(r *reader) {
	for i := range q {
		q[i].floor, q[i].bytes = r.uvarint(), int64(r.number(math.MaxInt64))
	}
}
