package wal

import (
	"bytes"
	"log/slog"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// Every latency is told apart from others to within a quarter.
func TestLatencies(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for i := range 100_000 {
		ms := int64(i)
		if i >= 50_000 {
			ms = rnd.Int63n(maxMillis >> rnd.Intn(40))
		}
		n := latencyOf(time.Duration(ms) * time.Millisecond)
		if from, to := shortest(n), shortest(n+1); float64(ms) < from || float64(ms) >= to || to-from > max(1, from/4) {
			t.Fatalf("%d ms has the number %d, which is from %v to %v ms", ms, n, from, to)
		}
	}
	for _, d := range []time.Duration{-time.Hour, 0} {
		if n := latencyOf(d); n != 0 {
			t.Errorf("%s has the number %d", d, n)
		}
	}
	if n := latencyOf(1<<63 - 1); n >= latencies {
		t.Errorf("the longest latency has the number %d of %d", n, latencies)
	}
}

func TestPercentiles(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 50 {
		var tally Tally
		var list []float64
		for range 1 + rnd.Intn(2000) {
			d := time.Duration(rnd.ExpFloat64()*float64(time.Second)) << rnd.Intn(8)
			list = append(list, float64(d.Milliseconds()))
			tally.add(tallyDuration+latencyOf(d), 1)
			tally.add(tallyDelivery+latencyOf(d/2), 1)
		}
		slices.Sort(list)
		got := tally.Duration()
		if got.Count != uint64(len(list)) {
			t.Fatalf("%d of %d", got.Count, len(list))
		}
		for percent, d := range map[int]time.Duration{50: got.P50, 95: got.P95, 99: got.P99} {
			want := list[(len(list)*percent+99)/100-1]
			if diff := float64(d.Milliseconds()) - want; diff > want/4+1 || diff < -want/4-1 {
				t.Errorf("percentile %d of %d latencies is %s, want about %v ms", percent, len(list), d, want)
			}
		}
	}
	if l := new(Tally).Duration(); l != (Latency{}) {
		t.Errorf("nothing has %v", l)
	}
}

func FuzzDecodeTally(f *testing.F) {
	f.Add(encodeTally(&goldenTally))
	f.Add([]byte{tallyVersion, 1, 0})
	f.Add([]byte{tallyVersion, 0, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		tally, err := decodeTally(value)
		if err != nil {
			return
		}
		again, err := decodeTally(encodeTally(&tally))
		if err != nil || !slices.Equal(again.cells, tally.cells) {
			t.Fatalf("%v, then %v: %v", tally, again, err)
		}
		tally.Duration()
		tally.Delivery()
	})
}

// tallyWorld records attempts and counts them in a simple way.
type tallyWorld struct {
	t         *testing.T
	rnd       *rand.Rand
	dir       string
	store     *Store
	clock     int64
	apps      []webhook.ID
	endpoints map[webhook.ID]webhook.ID // and their applications
	messages  map[webhook.ID]webhook.ID // the last of each application
	want      map[tallyName]*Tally
	entries   []tallyEntry
}

type tallyEntry struct {
	clock int64
	body  []byte
}

func newTallyWorld(t *testing.T) *tallyWorld {
	w := &tallyWorld{t: t, rnd: seeded(t), dir: memdir.New(t), clock: testClock, endpoints: make(map[webhook.ID]webhook.ID),
		messages: make(map[webhook.ID]webhook.ID), want: make(map[tallyName]*Tally)}
	w.store = openTest(t, w.dir)
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		app := decoded[createApplication](t, w.apply(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}}))).Application.ID
		w.apps = append(w.apps, app)
		w.messages[app] = webhook.ID(w.apply(appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: []byte("{}")})))
		for range 3 {
			w.endpoints[decoded[webhook.Endpoint](t, w.apply(mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app, URL: "http://x/"}))).ID] = app
		}
	}
	return w
}

// apply applies an entry of one command, and returns the body of its reply.
func (w *tallyWorld) apply(body []byte) []byte {
	w.t.Helper()
	w.entries = append(w.entries, tallyEntry{w.clock, body})
	return applyAt(w.t, w.store, w.clock, body)[0][1:]
}

func decoded[T any](t *testing.T, body []byte) (v T) {
	t.Helper()
	if err := decodeJSON(body, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (w *tallyWorld) endpointIDs() (list []webhook.ID) {
	for id := range w.endpoints {
		list = append(list, id)
	}
	slices.SortFunc(list, webhook.ID.Compare)
	return list
}

// attempts records some attempts at some endpoints.
func (w *tallyWorld) attempts() {
	var list []webhook.Progress
	for _, id := range w.endpointIDs() {
		if w.rnd.Intn(2) == 0 {
			continue
		}
		p := webhook.Progress{Endpoint: id}
		for range w.rnd.Intn(4) {
			p.Outcomes = append(p.Outcomes, w.outcome(id))
		}
		list = append(list, p)
	}
	w.apply(encodeProgress(1, list))
}

func (w *tallyWorld) outcome(endpoint webhook.ID) webhook.Outcome {
	app := w.endpoints[endpoint]
	message := w.messages[app]
	o := webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: message, Number: 1, URL: "http://x/",
		Status:     []webhook.Status{webhook.StatusSuccess, webhook.StatusFail, webhook.StatusCanceled}[w.rnd.Intn(3)],
		StatusCode: uint16(w.rnd.Intn(7) * 100), Trigger: webhook.Trigger(w.rnd.Intn(2)), Start: message.Time(),
		Duration: time.Duration(w.rnd.Intn(100_000)) * time.Millisecond}}
	if w.rnd.Intn(4) == 0 {
		o.Scheduled = message.Time().Add(time.Second)
	}
	for _, owner := range []TallyOwner{AllAttempts, AttemptsOf(app), AttemptsAt(endpoint)} {
		for p := range Period(len(periods)) {
			name := tallyName{p, owner, uint64(w.clock / periods[p].length)}
			if w.want[name] == nil {
				w.want[name] = new(Tally)
			}
			w.want[name].attempt(&o)
		}
	}
	return o
}

// delete deletes an endpoint, and returns the owner of its attempts from then on.
func (w *tallyWorld) delete(endpoint webhook.ID) TallyOwner {
	app := w.endpoints[endpoint]
	w.apply(mustEncode(w.t, kindDeleteEndpoint, deleteEndpoint{app, endpoint}))
	delete(w.endpoints, endpoint)
	for name, tally := range w.want {
		if name.owner == AttemptsAt(endpoint) {
			delete(w.want, name)
			name.owner = attemptsAtDeleted(app)
			if w.want[name] == nil {
				w.want[name] = new(Tally)
			}
			w.want[name].Add(tally)
		}
	}
	return attemptsAtDeleted(app)
}

// sweep applies entries until deleted endpoints have left, and restarts the store in between.
func (w *tallyWorld) sweep() {
	for len(w.store.catalog.removed) > 0 {
		w.apply(mustEncode(w.t, kindSweep, sweep{sweepPerEntry}))
		if w.rnd.Intn(4) == 0 {
			w.restart()
		}
	}
}

// restart closes the store, checks it and opens it again.
func (w *tallyWorld) restart() {
	w.t.Helper()
	if err := w.store.Close(); err != nil {
		w.t.Fatal(err)
	}
	report, err := Check(w.dir, CheckOptions{})
	if err != nil || report.Err() != nil {
		w.t.Fatal(err, report)
	}
	w.store = openTest(w.t, w.dir)
}

// compare compares the tallies of the owners with what was counted since that time.
func (w *tallyWorld) compare(owners []TallyOwner, since int64) {
	w.t.Helper()
	for p := range Period(len(periods)) {
		first := since / periods[p].length
		count := int(w.clock/periods[p].length-first) + 1
		err := w.store.Tallies(owners, p, first, count, func(i int, got []Tally) {
			for j := range got {
				var want Tally
				if counted := w.want[tallyName{p, owners[i], uint64(first + int64(j))}]; counted != nil {
					want = *counted
				}
				if !slices.Equal(got[j].cells, want.cells) {
					w.t.Fatalf("%s in period %d from %s: %v, want %v", ownerName(owners[i]), p, p.Begin(first+int64(j)), got[j].cells, want.cells)
				}
			}
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// Attempts are counted by endpoint, by application and altogether, whatever the clock does and
// whatever is deleted, and the checker finds that all sums agree.
func TestTallies(t *testing.T) {
	w := newTallyWorld(t)
	owners := []TallyOwner{AllAttempts}
	for _, app := range w.apps {
		owners = append(owners, AttemptsOf(app))
	}
	for _, id := range w.endpointIDs() {
		owners = append(owners, AttemptsAt(id))
	}
	for i := range 120 {
		switch w.rnd.Intn(6) {
		case 0:
			w.clock += w.rnd.Int63n(6 * hour)
		case 1:
			w.clock += w.rnd.Int63n(10 * minute)
		}
		w.attempts()
		switch i {
		case 60: // its attempts still count to its application and to all
			gone := w.endpointIDs()[0]
			owners = append(owners, w.delete(gone))
			w.restart()
			w.sweep()
		case 90:
			app := w.apps[1]
			w.apply(mustEncode(t, kindDeleteApplication, deleteApplication{app}))
			for _, id := range w.endpointIDs() {
				if w.endpoints[id] == app {
					delete(w.endpoints, id)
				}
			}
			w.restart()
		}
		if i == 60 || i == 90 || i%20 == 0 {
			w.compare(owners, max(testClock, w.clock-day))
		}
	}
	w.restart()
	w.compare(owners, max(testClock, w.clock-day))
}

// Tallies leave when their time is over, though nothing is sent to their endpoints any more, a
// bounded number with each command. A restart in the middle changes nothing.
func TestTalliesLeave(t *testing.T) {
	w := newTallyWorld(t)
	for range 40 {
		w.attempts()
		w.clock += w.rnd.Int63n(20 * minute)
	}
	w.compare([]TallyOwner{AllAttempts}, testClock)
	w.clock += 3 * day
	records := func() (n int) { return w.count(keyCounts) }
	before, steps := records(), 0
	for ; ; steps++ {
		forgets, err := NewCleaner(w.store, nil).forgets(w.clock)
		if err != nil {
			t.Fatal(err)
		}
		if !forgets {
			break
		}
		was := records()
		w.apply(mustEncode(t, kindRetain, retain{Before: 0, Records: 20}))
		if left := was - records(); left < 1 || left > 10 {
			t.Fatalf("a command that may look at 20 records removes %d tallies", left)
		}
		if steps == 5 {
			w.restart()
		}
	}
	if steps < 6 || records() >= before {
		t.Errorf("%d tallies are %d after %d steps", before, records(), steps)
	}
	// What is not yet in tallies is seen as long as it is in the cursors.
	count := int(int64(w.store.catalog.recent[webhook.ID{}].start) - testClock/(5*minute))
	err := w.store.Tallies([]TallyOwner{AllAttempts}, FiveMinutes, testClock/(5*minute), count, func(_ int, list []Tally) {
		if slices.ContainsFunc(list, func(t Tally) bool { return !t.empty() }) {
			t.Error("tallies of five minutes are there three days later")
		}
	})
	if err != nil {
		t.Error(err)
	}
	w.attempts() // the counts in cursors and applications are as old, and must not come back
	w.restart()
	if forgets, err := NewCleaner(w.store, nil).forgets(w.clock); forgets || err != nil {
		t.Errorf("tallies whose time is over have come back: %v", err)
	}
	w.clock += 800 * day
	w.apply(mustEncode(t, kindRetain, retain{Records: retainRecords}))
	w.restart()
	if n := records(); n != 0 {
		t.Errorf("%d tallies are left after 800 days", n)
	}
}

// count counts the records of a kind.
func (w *tallyWorld) count(kind byte) (n int) {
	w.t.Helper()
	w.store.pending.Lock()
	defer w.store.pending.Unlock()
	if err := w.store.pending.seek([]byte{kind}, []byte{kind}, func(_, _ []byte) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// Deleted endpoints leave no tallies of their own, or a customer who creates and deletes endpoints
// again and again would fill the store. Each entry looks at a bounded number of them.
func TestTalliesOfDeletedEndpoints(t *testing.T) {
	w := newTallyWorld(t)
	app := w.apps[0]
	most := 0
	for i := range 60 {
		id := decoded[webhook.Endpoint](t, w.apply(mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app, URL: "http://x/"}))).ID
		w.endpoints[id] = app
		for range 1 + i%3 {
			w.apply(encodeProgress(1, []webhook.Progress{{Endpoint: id, Outcomes: []webhook.Outcome{w.outcome(id)}}}))
			w.clock += w.rnd.Int63n(3 * minute)
		}
		w.delete(id)
		w.sweep()
		owners := make(map[webhook.ID]bool)
		w.store.pending.Lock()
		err := w.store.pending.seek([]byte{keyCounts}, []byte{keyCounts}, func(key, _ []byte) error {
			_, owner, _ := parseTallyKey(key)
			owners[owner.id] = true
			return nil
		})
		w.store.pending.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(owners))
	}
	if most > 3 { // all, the application, and its deleted endpoints
		t.Errorf("there are tallies of %d owners", most)
	}
	w.restart()
	w.compare([]TallyOwner{AllAttempts, AttemptsOf(app), attemptsAtDeleted(app)}, testClock)

	id := w.endpointIDs()[0]
	w.clock += 3 * 365 * day
	w.apply(encodeProgress(1, []webhook.Progress{{Endpoint: id, Outcomes: []webhook.Outcome{w.outcome(id)}}}))
	owner := w.delete(id)
	steps := len(w.entries)
	w.sweep()
	periods := 2*24*12 + 91*24 + 732
	if steps = len(w.entries) - steps; steps < periods/sweepPerEntry || steps > 2*periods/sweepPerEntry {
		t.Errorf("the tallies of three years were swept in %d steps", steps)
	}
	w.restart()
	w.compare([]TallyOwner{owner}, w.clock-day)
}

// Where there is a limit of size, the oldest tallies leave before their time, those of endpoints
// before they crowd out those of applications.
func TestTalliesTakeTheirShare(t *testing.T) {
	w := newTallyWorld(t)
	for range 200 {
		w.attempts()
		w.clock += 5 * minute
	}
	const room = 20_000
	setMaxSize(w.store, room*tallyShare)
	for range 100 {
		if forgets, err := NewCleaner(w.store, nil).forgets(w.clock); err != nil || !forgets {
			break
		}
		w.apply(mustEncode(t, kindRetain, retain{Records: 100, Tallies: NewCleaner(w.store, nil).tallyRoom()}))
	}
	queues := w.store.pending.staged.meta.tallies
	for i, q := range queues {
		if q.bytes > room {
			t.Errorf("queue %d takes %d bytes of %d", i, q.bytes, room)
		}
	}
	if q := queues.of(FiveMinutes, scopeEndpoint); q.floor == 0 || q.bytes < room/2 {
		t.Errorf("tallies of five minutes and endpoints: %+v", q)
	}
	if from := w.store.TalliedFrom(AttemptsAt(w.endpointIDs()[0]), FiveMinutes); from.UnixMilli() <= testClock {
		t.Errorf("they are said to begin at %s", from)
	}
	w.compare([]TallyOwner{AllAttempts}, testClock)
	w.restart()
}

// A store that is restarted between any two entries holds the same tallies as one that is not, also
// while tallies leave.
func TestTalliesAreTheSameEverywhere(t *testing.T) {
	w := newTallyWorld(t)
	for i := range 100 {
		w.clock += w.rnd.Int63n(8 * minute)
		w.attempts()
		if i%3 == 0 {
			w.apply(mustEncode(t, kindRetain, retain{Records: 100, Tallies: 600}))
		}
	}
	dir := memdir.New(t)
	again := openTest(t, dir)
	for _, entry := range w.entries {
		applyAt(t, again, entry.clock, entry.body)
		if w.rnd.Intn(4) == 0 {
			again = reopen(t, again, dir)
		}
	}
	if want, got := content(t, w.store), content(t, again); !bytes.Equal(got, want) {
		t.Errorf("the stores differ: %q", differences(t, want, got))
	}
	if w.store.pending.staged.meta.tallies.of(FiveMinutes, scopeEndpoint).floor == 0 {
		t.Error("no tally has left")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkRecordProgress applies entries as a busy leader makes them, of 256 attempts at 64
// endpoints of 8 applications.
func BenchmarkRecordProgress(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	w := NewWriter(direct{s, 1})
	var list []webhook.Progress
	rnd := rand.New(rand.NewSource(1))
	for range 8 {
		app, _, err := w.CreateApplication(b.Context(), webhook.Application{Name: "a"}, false)
		if err != nil {
			b.Fatal(err)
		}
		id, err := w.CreateMessage(b.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			b.Fatal(err)
		}
		for range 8 {
			e, err := w.CreateEndpoint(b.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
			if err != nil {
				b.Fatal(err)
			}
			p := webhook.Progress{Endpoint: e.ID}
			for range 4 {
				p.Outcomes = append(p.Outcomes, webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/",
					Status: webhook.StatusSuccess, StatusCode: 200, Start: id.Time(), Duration: time.Duration(rnd.ExpFloat64() * 50e6), Response: []byte("ok")}})
			}
			list = append(list, p)
		}
	}
	body := encodeProgress(1, list)
	clock := int64(testClock)
	b.ReportAllocs()
	for b.Loop() {
		index := s.Applied() + 1
		clock += 13 // 20,000 attempts per second
		if _, err := s.Apply(index, 1, clock, []Command{{Request: [16]byte{byte(index), byte(index >> 8), byte(index >> 16)}, Body: body}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/attempt")
}
