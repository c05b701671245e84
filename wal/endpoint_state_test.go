package wal

import (
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// stateWorld has endpoints in all states, some of them blocked.
type stateWorld struct {
	store  *Store
	states map[webhook.ID]EndpointState
	blocks map[webhook.ID]bool
}

func newStateWorld(t testing.TB, rnd *rand.Rand, endpoints, each int) *stateWorld {
	s, err := Open(Config{Dir: memdir.New(t), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &stateWorld{s, make(map[webhook.ID]EndpointState), make(map[webhook.ID]bool)}
	clock := int64(testClock)
	apply := func(bodies ...[]byte) (replies [][]byte) {
		index := s.Applied() + 1
		var commands []Command
		for i, body := range bodies {
			commands = append(commands, Command{Request: [16]byte{byte(index), byte(index >> 8), byte(i), byte(i >> 8)}, Body: body})
		}
		clock += 4
		replies, err := s.Apply(index, 1, clock, commands)
		if err != nil {
			t.Fatal(err)
		}
		return replies
	}
	decode := func(reply []byte, v any) {
		if err := decodeJSON(reply[1:], v); err != nil {
			t.Fatal(err)
		}
	}
	for len(w.states) < endpoints {
		var made createApplication
		decode(apply(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}}))[0], &made)
		app := made.Application.ID
		var creations [][]byte
		for i := range min(each, endpoints-len(w.states)) {
			e := webhook.Endpoint{App: app, URL: "http://x/", Paused: rnd.Intn(5) == 0, Disabled: rnd.Intn(5) == 0}
			e.Ordering = []webhook.Ordering{webhook.OrderingNone, webhook.OrderingEndpoint, webhook.OrderingKey}[i%3]
			creations = append(creations, mustEncode(t, kindCreateEndpoint, e))
		}
		created := apply(creations...)
		message := appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: []byte("{}"), OrderingKey: "k"})
		messages := apply(message, message)
		var progress []webhook.Progress
		for _, reply := range created {
			var e webhook.Endpoint
			decode(reply, &e)
			progress = append(progress, w.progress(&e, rnd, webhook.ID(messages[0][1:]), webhook.ID(messages[1][1:])))
		}
		apply(encodeProgress(1, progress))
	}
	return w
}

// progress returns what was recorded of a random endpoint, and notes how it fares.
func (w *stateWorld) progress(e *webhook.Endpoint, rnd *rand.Rand, message, next webhook.ID) webhook.Progress {
	h := new(webhook.Health)
	if rnd.Intn(2) == 0 {
		h.FailingSince = message.Time()
		h.Parked = rnd.Intn(2) == 0
	}
	p := webhook.Progress{Endpoint: e.ID, Health: h}
	retrying, held := rnd.Intn(2) == 0, rnd.Intn(2) == 0
	if retrying {
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Spent: 1, Attempt: webhook.Attempt{Message: message, Number: 1, URL: e.URL, Status: webhook.StatusFail, Start: message.Time(), Next: message.Time().Add(time.Hour)}})
	}
	if held {
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Hold: true, Key: 7, Attempt: webhook.Attempt{Message: next}})
	}
	switch {
	case e.Disabled:
		w.states[e.ID] = Disabled
	case e.Paused:
		w.states[e.ID] = Paused
	case h.Parked:
		w.states[e.ID] = Parked
	case !h.FailingSince.IsZero():
		w.states[e.ID] = Failing
	default:
		w.states[e.ID] = Healthy
	}
	if !e.Disabled && !e.Paused && retrying {
		w.blocks[e.ID] = e.Ordering == webhook.OrderingEndpoint && !h.FailingSince.IsZero() || e.Ordering == webhook.OrderingKey && held
	}
	return p
}

// pages reads all endpoints in a set of states, page by page.
func (w *stateWorld) pages(t *testing.T, set StateSet, page Page) (ids []webhook.ID, counts StateCounts) {
	for {
		var list []*webhook.Endpoint
		var more bool
		list, more, counts = w.store.EndpointsInStates(set, page)
		for _, e := range list {
			ids = append(ids, e.ID)
		}
		if len(list) > page.Limit || more && len(list) < page.Limit {
			t.Fatalf("a page of %d has %d endpoints", page.Limit, len(list))
		}
		if !more {
			return ids, counts
		}
		page.From = list[len(list)-1].ID
	}
}

// Every endpoint is found by its state, once, in order, with pages of any size.
func TestEndpointsInStates(t *testing.T) {
	rnd := seeded(t)
	w := newStateWorld(t, rnd, 2*endpointsPerLock+100, 100)
	for range 100 {
		var states []EndpointState
		for state := range EndpointState(EndpointStates) {
			if rnd.Intn(2) == 0 {
				states = append(states, state)
			}
		}
		var want []webhook.ID
		var counts StateCounts
		for id, state := range w.states {
			counts[state]++
			if w.blocks[id] {
				counts[Blocked]++
			}
			if slices.Contains(states, state) || w.blocks[id] && slices.Contains(states, Blocked) {
				want = append(want, id)
			}
		}
		page := Page{Limit: 1 + rnd.Intn(250)*rnd.Intn(2) + 20, Ascending: rnd.Intn(2) == 0}
		slices.SortFunc(want, func(a, b webhook.ID) int {
			if page.Ascending {
				return a.Compare(b)
			}
			return b.Compare(a)
		})
		if got, counted := w.pages(t, NewStateSet(states...), page); !slices.Equal(got, want) || counted != counts {
			t.Fatalf("%v: %d endpoints, want %d; counts %v, want %v", states, len(got), len(want), counted, counts)
		}
	}
	for id, state := range w.states {
		if at := w.store.EndpointStatus(w.store.catalog.endpoints[id]); at.State != state || at.Blocked != w.blocks[id] {
			t.Errorf("%s is %s, want %s; blocked: %v", id.Text(webhook.KindEndpoint), at.State, state, at.Blocked)
		}
	}
}

func BenchmarkEndpointsInStates(b *testing.B) {
	for _, endpoints := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(endpoints), func(b *testing.B) {
			w := newStateWorld(b, rand.New(rand.NewSource(1)), endpoints, 500)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, counts := w.store.EndpointsInStates(NewStateSet(Parked, Disabled, Blocked), Page{Limit: 50}); counts[Parked] == 0 {
					b.Fatal("no endpoint is parked")
				}
			}
		})
	}
}
