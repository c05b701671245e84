package wal

import (
	"container/heap"
	"sync"
	"sync/atomic"

	"hookwheel/webhook"
)

const (
	tailBuffer = 4096 // events that a tail may lag behind
	tailPage   = 16   // attempts of one endpoint that reading the past keeps in memory
)

// Event is an attempt, without its response, or a state change. All events have one order, that of
// their IDs.
type Event struct {
	ID       webhook.ID
	App      webhook.ID
	Endpoint webhook.ID
	Attempt  *webhook.Attempt // nil for a state change
	Change   *webhook.StateChange
}

// Tail receives the events of each entry after After. After is an ID behind all events of earlier
// entries, the same on every node, but not the ID of an event. Events is closed when the receiver
// lags too far behind.
type Tail struct {
	After  webhook.ID
	Events chan Event
	store  *Store
}

// tails holds the open tails.
type tails struct {
	count atomic.Int32
	mu    sync.Mutex
	open  map[*Tail]struct{}
}

// isAnyOpen reports cheaply whether a tail is open.
func (t *tails) isAnyOpen() bool { return t.count.Load() > 0 }

// OpenTail begins to follow the events. The caller must close the tail.
func (s *Store) OpenTail() *Tail {
	s.pending.Lock()
	defer s.pending.Unlock()
	at := &s.pending.staged.meta
	t := &Tail{After: webhook.NewID(at.clock, at.index, webhook.MaxPlace), Events: make(chan Event, tailBuffer), store: s}
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	if s.tails.open == nil {
		s.tails.open = make(map[*Tail]struct{})
	}
	s.tails.open[t] = struct{}{}
	s.tails.count.Add(1)
	return t
}

// Close ends the tail; Events may be closed already.
func (t *Tail) Close() {
	t.store.tails.mu.Lock()
	defer t.store.tails.mu.Unlock()
	t.store.tails.end(t)
}

func (t *tails) end(tail *Tail) {
	if _, open := t.open[tail]; open {
		delete(t.open, tail)
		t.count.Add(-1)
		close(tail.Events)
	}
}

// tell passes the events of an entry to all tails, and cuts off those without room for them.
func (t *tails) tell(events []Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tail := range t.open {
		for _, event := range events {
			select {
			case tail.Events <- event:
				continue
			default:
			}
			t.end(tail)
			break
		}
	}
}

// cutOff ends all tails, because the contents of this store have been replaced.
func (t *tails) cutOff() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tail := range t.open {
		t.end(tail)
	}
}

// PastEvents calls see for each event after the ID after and up to last, in order: the attempts at
// existing endpoints, and the state changes of these. If app or endpoint is not zero, only events
// of that application or endpoint are included.
func (r *Reader) PastEvents(app, endpoint, after, last webhook.ID, see func(Event) error) error {
	var past pastEvents
	for _, e := range r.AllEndpoints() {
		if (app.IsZero() || e.App == app) && (endpoint.IsZero() || e.ID == endpoint) {
			past = append(past, &source{read: r.attemptEvents(e.App, e.ID), after: after})
		}
	}
	past = append(past, &source{read: r.changeEvents, after: after})
	live := past[:0]
	for _, from := range past {
		if err := from.fill(); err != nil {
			return err
		}
		if len(from.page) > 0 {
			live = append(live, from)
		}
	}
	past = live
	heap.Init(&past)
	for len(past) > 0 {
		from := past[0]
		event := from.page[0]
		if event.ID.After(last) {
			return nil
		}
		if (app.IsZero() || event.App == app) && (endpoint.IsZero() || event.Endpoint == endpoint) {
			if err := see(event); err != nil {
				return err
			}
		}
		if from.page = from.page[1:]; len(from.page) == 0 {
			if err := from.fill(); err != nil {
				return err
			}
		}
		if len(from.page) > 0 {
			heap.Fix(&past, 0)
		} else {
			heap.Pop(&past)
		}
	}
	return nil
}

// source is one of the lists that the past is merged from, read a page at a time.
type source struct {
	read  func(after webhook.ID) ([]Event, error)
	after webhook.ID // everything up to this ID was read
	page  []Event
}

func (s *source) fill() (err error) {
	if s.page, err = s.read(s.after); err == nil && len(s.page) > 0 {
		s.after = s.page[len(s.page)-1].ID
	}
	return err
}

func (r *Reader) attemptEvents(app, endpoint webhook.ID) func(webhook.ID) ([]Event, error) {
	return func(after webhook.ID) ([]Event, error) {
		page := Page{From: after, Ascending: true, Limit: tailPage}
		var list []Event
		err := r.read(func(v dbView) error {
			return v.page(page, idKey(keyHistory, endpoint), entrySize, func(key, value []byte) error {
				chunk, err := decodeAttempts(key, value, endpoint)
				for i := range chunk {
					if page.contains(chunk[i].ID) {
						chunk[i].Response = tailedResponse(&chunk[i]) // the rest would keep the whole chunk in memory
						if t := chunk[i].Trace; t != nil {
							t.Headers = nil // likewise
						}
						list = append(list, Event{ID: chunk[i].ID, App: app, Endpoint: endpoint, Attempt: &chunk[i]})
					}
				}
				if err == nil && len(list) >= tailPage {
					err = errStop
				}
				return err
			})
		})
		return list, err
	}
}

// changeEvents reads the state changes of the next entry that has some.
func (r *Reader) changeEvents(after webhook.ID) (list []Event, err error) {
	page := Page{From: after, Ascending: true}
	err = r.read(func(v dbView) error {
		return v.page(page, []byte{keyChange}, entrySize, func(_, value []byte) error {
			changes, err := decodeChanges(value)
			for i := range changes {
				if c := &changes[i]; page.contains(c.ID) {
					list = append(list, Event{ID: c.ID, App: c.App, Endpoint: c.Endpoint, Change: c})
				}
			}
			if err == nil && len(list) > 0 {
				err = errStop
			}
			return err
		})
	})
	for i := range list {
		r.hideDeleted(&list[i].Change.By)
	}
	return list, err
}

// pastEvents is a heap of sources, the one with the earliest event first. None of them is empty.
type pastEvents []*source

func (p pastEvents) Len() int           { return len(p) }
func (p pastEvents) Less(i, j int) bool { return p[j].page[0].ID.After(p[i].page[0].ID) }
func (p pastEvents) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pastEvents) Push(x any)        { *p = append(*p, x.(*source)) }
func (p *pastEvents) Pop() any {
	last := len(*p) - 1
	s := (*p)[last]
	*p = (*p)[:last]
	return s
}
