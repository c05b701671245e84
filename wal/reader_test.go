package wal

import (
	"bytes"
	"math"
	"sync"
	"testing"

	"hookwheel/webhook"
)

// TestPaced: whatever a paced reader reads of many endpoints, it says so again and again, with the
// sizes of what it has read, and in the end; it reads the same as the store itself.
func TestPaced(t *testing.T) {
	const count = 100
	s, m, endpoints := fanOut(t, count)
	calls, bytes, ends := 0, 0, 0
	paced := s.Paced(func(size int) { calls, bytes = calls+1, bytes+size }, func() {
		if ends++; !s.swap.TryLock() { // as a restored snapshot does
			t.Error("the state is still kept")
			return
		}
		s.swap.Unlock()
	})
	for name, read := range map[string]func(r *Reader) (int, error){
		"explanations": func(r *Reader) (int, error) {
			list, err := r.Deliveries().Explain(m, endpoints)
			return len(list), err
		},
		"destinations": func(r *Reader) (int, error) {
			list, _, err := r.Attempts().Destinations(m, Page{Limit: count})
			return len(list), err
		},
		"attempts of a message": func(r *Reader) (int, error) {
			list, _, err := r.Attempts().ByMessage(m.ID, Page{Limit: count}, AttemptFilter{})
			return len(list), err
		},
		"attempts of an application": func(r *Reader) (int, error) {
			list, _, err := r.Attempts().ByApplication(Page{Limit: count}, AttemptFilter{App: m.App})
			return len(list), err
		},
		"backlogs": func(r *Reader) (int, error) {
			list, err := r.Deliveries().Backlogs(endpoints)
			return len(list), err
		},
		"the past": func(r *Reader) (n int, err error) {
			err = r.PastEvents(m.App, webhook.ID{}, webhook.ID{}, webhook.NewID(math.MaxInt64>>16, 0, 0), func(Event) error { n++; return nil })
			return n, err
		},
	} {
		calls, bytes, ends = 0, 0, 0
		want, err := read(&s.Reader)
		if err != nil || want < count || calls > 0 {
			t.Fatalf("%s: %d, and %d calls: %v", name, want, calls, err)
		}
		if got, err := read(paced); err != nil || got != want || calls < count || bytes < count*idSize || ends == 0 {
			t.Errorf("%s: %d of %d, with %d calls for %d bytes: %v", name, got, want, calls, bytes, err)
		}
	}
}

// TestPagesKeepTheirItems: the items of a page are their own, although records are read into
// buffers that are used again, on this page and by others at the same time.
func TestPagesKeepTheirItems(t *testing.T) {
	const size = 4 * minBlob
	s, w, app, _ := newWorld(t)
	ids := createLarge(t, w, app.ID, 20, size)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			list, _, err := s.Messages(app.ID, Page{Ascending: true, Limit: len(ids)}, MessageFilter{})
			if err != nil || len(list) != len(ids) {
				t.Errorf("%d messages of %d: %v", len(list), len(ids), err)
			}
			for i := range list {
				if !bytes.Equal(list[i].Payload, bytes.Repeat([]byte{byte(i)}, size)) {
					t.Errorf("message %d has another payload", i)
				}
			}
		})
	}
	all.Wait()
}
