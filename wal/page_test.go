package wal

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"hookwheel/webhook"
)

// library is a store with a few hundred messages and attempts in chunks of all sizes, and the same
// rows in plain lists.
type library struct {
	store    *Store
	apps     []webhook.ID
	eps      []webhook.ID
	messages []webhook.Message // in log order
	attempts []webhook.Attempt // in log order
}

var codes = []uint16{0, 200, 204, 404, 500, 503}

func newLibrary(t *testing.T, rnd *rand.Rand) *library {
	t.Helper()
	inventsMessages(t)
	s, w, app, endpoint := newWorld(t)
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	l := &library{store: s, apps: []webhook.ID{app.ID, other.ID}, eps: []webhook.ID{endpoint.ID}}
	for range 2 {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		l.eps = append(l.eps, e.ID)
	}
	for len(l.messages) < 250 || len(l.attempts) < 400 {
		if rnd.Intn(2) == 0 {
			l.addMessages(t, rnd)
		} else {
			l.addAttempts(t, rnd)
		}
	}
	return l
}

func (l *library) addMessages(t *testing.T, rnd *rand.Rand) {
	var list []webhook.Message
	var bodies [][]byte
	for range 1 + rnd.Intn(9) {
		m := webhook.Message{App: l.apps[rnd.Intn(2)], EventType: fmt.Sprint("t", rnd.Intn(3)), Payload: []byte(fmt.Sprint(rnd.Int()))}
		if rnd.Intn(2) == 0 {
			m.Channels = []string{"c0", fmt.Sprint("c", rnd.Intn(3))}
			m.Tags = []string{fmt.Sprint("tag", rnd.Intn(3))}
		}
		list = append(list, m)
		bodies = append(bodies, appendCreateMessage(nil, &m))
	}
	for i, reply := range applyList(t, l.store, bodies...) {
		list[i].ID = webhook.ID(reply[1:])
	}
	l.messages = append(l.messages, list...)
}

// addAttempts records attempts of three endpoints in one entry. Its ids are given in the order of
// the command.
func (l *library) addAttempts(t *testing.T, rnd *rand.Rand) {
	if len(l.messages) == 0 {
		return
	}
	var list []webhook.Progress
	index := l.store.Applied() + 1
	place := uint32(0)
	for range 1 + rnd.Intn(3) {
		p := webhook.Progress{Endpoint: l.eps[rnd.Intn(3)]}
		for range 1 + rnd.Intn(6) {
			a := webhook.Attempt{Message: l.messages[rnd.Intn(min(len(l.messages), 30))].ID, Endpoint: p.Endpoint, Number: 1,
				URL: fmt.Sprint("http://x/", rnd.Intn(2)), StatusCode: codes[rnd.Intn(len(codes))], Status: webhook.Status(rnd.Intn(2) * 2)}
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: a})
			a.ID = webhook.NewID(l.eps[2].Millis(), index, place) // the clock of the log has not moved since
			place++
			l.attempts = append(l.attempts, a)
		}
		list = append(list, p)
	}
	applyList(t, l.store, encodeProgress(1, list))
}

// randomID is of something in the list, or of nothing at all, or zero.
func randomID(rnd *rand.Rand, ids []webhook.ID) webhook.ID {
	switch id := ids[rnd.Intn(len(ids))]; rnd.Intn(4) {
	case 0:
		return webhook.ID{}
	case 1:
		return webhook.NewID(id.Millis(), id.Index(), id.Place()+uint32(rnd.Intn(20)))
	default:
		return id
	}
}

// between is the naive way: what lies between the bounds and beyond From, in the direction of page.
func between[T any](page Page, all []T, id func(*T) webhook.ID, want func(*T) bool) (list []webhook.ID) {
	for i := range all {
		at := id(&all[i])
		inBounds := at.After(page.Low) && (page.High.IsZero() || page.High.After(at))
		beyond := page.From.IsZero() || page.Ascending && at.After(page.From) || !page.Ascending && page.From.After(at)
		if inBounds && beyond && want(&all[i]) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, webhook.ID.Compare)
	if !page.Ascending {
		slices.Reverse(list)
	}
	return list
}

// checkPages walks all pages from a random start within random bounds, and compares each with the
// naive list.
func checkPages[T any](t *testing.T, rnd *rand.Rand, all []T, id func(*T) webhook.ID, want func(*T) bool, read func(Page) ([]T, bool, error)) {
	t.Helper()
	ids := make([]webhook.ID, len(all))
	for i := range all {
		ids[i] = id(&all[i])
	}
	page := Page{From: randomID(rnd, ids), Low: randomID(rnd, ids), High: randomID(rnd, ids), Ascending: rnd.Intn(2) == 0, Limit: 1 + rnd.Intn(40)}
	rest := between(page, all, id, want)
	for first := page; ; {
		list, more, err := read(page)
		got := idsOf(t, list, id, err)
		if size := min(page.Limit, len(rest)); !slices.Equal(got, rest[:size]) || more != (len(rest) > size) {
			t.Fatalf("%+v, walked from %+v: %d items, more %t; want %d of %d", page, first, len(got), more, size, len(rest))
		}
		if !more {
			return
		}
		rest, page.From = rest[len(got):], got[len(got)-1]
	}
}

func TestPagesOfMessages(t *testing.T) {
	rnd := seeded(t)
	l := newLibrary(t, rnd)
	for range 150 {
		app := l.apps[rnd.Intn(2)]
		filter := randomMessageFilter(rnd)
		want := func(m *webhook.Message) bool { return m.App == app && passes(&filter, m) }
		checkPages(t, rnd, l.messages, messageID, want, func(page Page) ([]webhook.Message, bool, error) {
			list, next, err := l.store.Messages(app, page, filter)
			return list, !next.IsZero(), err
		})
	}
}

func randomMessageFilter(rnd *rand.Rand) (filter MessageFilter) {
	if rnd.Intn(2) == 0 {
		filter.EventTypes = []string{"t1", fmt.Sprint("t", rnd.Intn(4))}
	}
	if rnd.Intn(2) == 0 {
		filter.Channel = fmt.Sprint("c", rnd.Intn(4))
	}
	if rnd.Intn(2) == 0 {
		filter.Tag = fmt.Sprint("tag", rnd.Intn(4))
	}
	if rnd.Intn(3) == 0 {
		filter.Text = fmt.Sprint(rnd.Intn(10), rnd.Intn(10)) // payloads are numbers
	}
	return filter
}

func passes(f *MessageFilter, m *webhook.Message) bool {
	return (f.EventTypes == nil || slices.Contains(f.EventTypes, m.EventType)) &&
		(f.Channel == "" || slices.Contains(m.Channels, f.Channel)) && (f.Tag == "" || slices.Contains(m.Tags, f.Tag)) &&
		strings.Contains(string(m.Payload), f.Text)
}

func randomAttemptFilter(rnd *rand.Rand, l *library) (filter AttemptFilter) {
	if rnd.Intn(2) == 0 {
		status := webhook.Status(rnd.Intn(2) * 2)
		filter.Status = &status
	}
	if rnd.Intn(2) == 0 {
		class := rnd.Intn(6) * 100
		filter.CodeClass = &class
	}
	if rnd.Intn(2) == 0 {
		filter.EndpointID = l.eps[rnd.Intn(3)]
	}
	if rnd.Intn(2) == 0 {
		filter.App, filter.Message = l.apps[rnd.Intn(2)], randomMessageFilter(rnd)
	}
	return filter
}

func TestPagesOfAttempts(t *testing.T) {
	rnd := seeded(t)
	l := newLibrary(t, rnd)
	for range 150 {
		endpoint, message := l.eps[rnd.Intn(3)], l.messages[rnd.Intn(30)].ID
		f := randomAttemptFilter(rnd, l)
		wanted := func(a *webhook.Attempt) bool {
			return (f.Status == nil || *f.Status == a.Status) && (f.EndpointID.IsZero() || f.EndpointID == a.Endpoint) &&
				(f.CodeClass == nil || *f.CodeClass == int(a.StatusCode)-int(a.StatusCode)%100) &&
				(f.Message.matchesAll() || slices.ContainsFunc(l.messages, func(m webhook.Message) bool {
					return m.ID == a.Message && m.App == f.App && passes(&f.Message, &m)
				}))
		}
		checkPages(t, rnd, l.attempts, attemptID,
			func(a *webhook.Attempt) bool { return a.Endpoint == endpoint && wanted(a) },
			func(page Page) ([]webhook.Attempt, bool, error) {
				list, next, err := l.store.Attempts().ByEndpoint(endpoint, page, f)
				return list, !next.IsZero(), err
			})
		checkPages(t, rnd, l.attempts, attemptID,
			func(a *webhook.Attempt) bool { return a.Message == message && wanted(a) },
			func(page Page) ([]webhook.Attempt, bool, error) {
				list, next, err := l.store.Attempts().ByMessage(message, page, f)
				return list, !next.IsZero(), err
			})
		f.App = l.apps[rnd.Intn(2)]
		checkPages(t, rnd, l.attempts, attemptID,
			func(a *webhook.Attempt) bool { return (f.App == l.apps[0] || !f.EndpointID.IsZero()) && wanted(a) }, // the endpoints are of the first
			func(page Page) ([]webhook.Attempt, bool, error) {
				list, next, err := l.store.Attempts().ByApplication(page, f)
				return list, !next.IsZero(), err
			})
	}
}

// TestAttemptsOfManyEndpoints reads pages that look at a few attempts of each endpoint only: they
// get on, and together they have each attempt that is wanted once, in order.
func TestAttemptsOfManyEndpoints(t *testing.T) {
	rnd := seeded(t)
	l := newLibrary(t, rnd)
	for range 60 {
		f := randomAttemptFilter(rnd, l)
		f.EndpointID, f.App, f.Message = webhook.ID{}, l.apps[0], MessageFilter{}
		page := Page{Ascending: rnd.Intn(2) == 0, Limit: 1 + rnd.Intn(40)}
		want := between(page, l.attempts, attemptID, f.wants)
		var got []webhook.ID
		for {
			list, next, err := l.store.Attempts().at(l.eps, page, f, 1+rnd.Intn(5))
			got = append(got, idsOf(t, list, attemptID, err)...)
			if next.IsZero() {
				break
			}
			if next == page.From {
				t.Fatalf("a page has not got on from %v", next)
			}
			page.From = next
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d attempts, want %d", len(got), len(want))
		}
	}
}

// Each row comes back as it went in.
func TestRowsKeepTheirContent(t *testing.T) {
	l := newLibrary(t, seeded(t))
	for _, want := range l.messages {
		m, err := l.store.Deliveries().MessageByID(want.App, want.ID)
		if err != nil || fmt.Sprint(*m) != fmt.Sprint(want) {
			t.Fatalf("got %v, want %v; %v", m, want, err)
		}
		if _, err := l.store.Deliveries().MessageByID(l.eps[0], want.ID); webhook.ErrorCode(err) != webhook.CodeNotFound {
			t.Fatalf("in another application: %v", err)
		}
	}
	for _, want := range l.attempts {
		list, _, err := l.store.Attempts().ByMessage(want.Message, Page{Limit: 1000}, AttemptFilter{})
		i := slices.IndexFunc(list, func(a webhook.Attempt) bool { return a.ID == want.ID })
		if err != nil || i < 0 || fmt.Sprint(list[i]) != fmt.Sprint(want) {
			t.Fatalf("%v is not among %d attempts of its message, %v", want, len(list), err)
		}
	}
}

// Windows, one after another, are the log from anywhere on: no message twice, none left out, never
// one of another application.
func TestWindows(t *testing.T) {
	rnd := seeded(t)
	l := newLibrary(t, rnd)
	for _, app := range l.apps {
		for range 20 {
			ids := between(Page{Ascending: true}, l.messages, messageID, func(m *webhook.Message) bool { return m.App == app })
			from, limit := randomID(rnd, ids), 1+rnd.Intn(30)
			want := between(Page{Ascending: true, From: from}, l.messages, messageID, func(m *webhook.Message) bool { return m.App == app })
			var got []webhook.ID
			for {
				window, err := l.store.Deliveries().Window(app, from, limit, 128<<10)
				if err != nil {
					t.Fatal(err)
				}
				if len(window) == 0 {
					break
				}
				for _, m := range window {
					got = append(got, m.ID)
				}
				from = got[len(got)-1]
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d messages in windows of %d, %d in the log", len(got), limit, len(want))
			}
		}
	}
}

// TestWindowOfLargeMessages reads a log of large messages: a window holds few of them.
func TestWindowOfLargeMessages(t *testing.T) {
	const bytes = 128 << 10
	s, w, app, _ := newWorld(t)
	for range 5 {
		if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, bytes/2)}); err != nil {
			t.Fatal(err)
		}
	}
	from := webhook.ID{}
	for _, want := range []int{2, 2, 1, 0} {
		window, err := s.Deliveries().Window(app.ID, from, 64, bytes)
		if err != nil || len(window) != want {
			t.Fatalf("%d messages instead of %d: %v", len(window), want, err)
		}
		if want > 0 {
			from = window[want-1].ID
		}
	}
}

// A window of a chunk with many messages holds few of them, and no memory of the others.
func TestWindowOfAPartOfAChunk(t *testing.T) {
	s, _, app, _ := newWorld(t)
	var commands [][]byte
	for range 100 {
		commands = append(commands, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 1000)}))
	}
	applyList(t, s, commands...)
	seen, from := 0, webhook.ID{}
	for {
		window, err := s.Deliveries().Window(app.ID, from, 7, 4000)
		if err != nil || len(window) > 4 {
			t.Fatalf("%d messages: %v", len(window), err)
		}
		for _, m := range window {
			if !m.ID.After(from) || len(m.Payload) != 1000 || cap(m.Payload) > 1100 {
				t.Fatalf("%v after %v, with %d bytes of %d", m.ID, from, len(m.Payload), cap(m.Payload))
			}
			from = m.ID
		}
		if seen += len(window); len(window) == 0 {
			break
		}
	}
	if seen != len(commands) {
		t.Errorf("%d messages of %d", seen, len(commands))
	}
}

func TestCatalogPages(t *testing.T) {
	rnd := seeded(t)
	s, w, app, first := newWorld(t)
	apps, endpoints := []webhook.Application{*app}, []*webhook.Endpoint{first}
	for i := range 40 {
		a, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: fmt.Sprint(i)}, false)
		if err != nil {
			t.Fatal(err)
		}
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		apps, endpoints = append(apps, *a), append(endpoints, e)
	}
	for range 50 {
		checkPages(t, rnd, apps, func(a *webhook.Application) webhook.ID { return a.ID }, func(*webhook.Application) bool { return true },
			func(page Page) ([]webhook.Application, bool, error) { return s.Applications(page) })
		checkPages(t, rnd, endpoints, func(e **webhook.Endpoint) webhook.ID { return (*e).ID }, func(**webhook.Endpoint) bool { return true },
			func(page Page) ([]*webhook.Endpoint, bool, error) {
				list, more := s.Endpoints(app.ID, page)
				return list, more, nil
			})
	}
}
