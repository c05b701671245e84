package scheduler

import (
	"log/slog"
	"testing"
	"time"

	"hookwheel/webhook"
)

// expunging expunges a message while the store is being read: what it returns was read before.
type expunging struct {
	*shelf
	expunge  func()
	inWindow bool // else when it is read alone
}

func (b *expunging) once(inWindow bool) {
	if expunge := b.expunge; expunge != nil && b.inWindow == inWindow {
		b.expunge = nil
		expunge()
	}
}

func (b *expunging) Window(app, after webhook.ID, limit, bytes int) ([]*webhook.Message, error) {
	window, err := b.shelf.Window(app, after, limit, bytes)
	b.once(true)
	return window, err
}

func (b *expunging) MessageByID(app, id webhook.ID) (*webhook.Message, error) {
	m, err := b.shelf.MessageByID(app, id)
	b.once(false)
	return m, err
}

// A message that is expunged while it is read, for a window or for another attempt, is not sent.
func TestExpungedWhileRead(t *testing.T) {
	for _, retried := range []bool{false, true} {
		w := newMemoryWorld(1, 1, 3)
		e := w.endpoints[0]
		b := &expunging{shelf: w.shelf, inWindow: !retried}
		w.shelf.cursors[e.ID] = w.log[0].ID
		const first, last = 1, 2
		if retried {
			w.shelf.cursors[e.ID] = w.log[last].ID
			for i := first; i <= last; i++ {
				w.shelf.retries[e.ID] = append(w.shelf.retries[e.ID], webhook.Retry{Message: w.log[i].ID, Due: w.now.Add(time.Duration(i) * time.Millisecond), Made: 1, Spent: 1})
			}
		}
		expunged := *w.log[first]
		expunged.Payload, expunged.Expunged = nil, true
		s := New(b, w.log[last].ID.Index(), testConfig(1), slog.New(slog.DiscardHandler))
		b.expunge = func() {
			b.shelf.mu.Lock()
			b.shelf.log[first] = &expunged
			b.shelf.mu.Unlock()
			s.Apply(webhook.Changes{Expunged: []*webhook.Message{&expunged}})
		}
		s.Apply(webhook.Changes{Endpoints: w.endpoints})
		go s.Run(t.Context())
		for {
			d, _ := s.Next()
			if d.ID == expunged.ID {
				t.Errorf("retried %t: an expunged message is sent", retried)
			}
			if d.ID == w.log[last].ID {
				break
			}
			s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: d.Number, Status: webhook.StatusSuccess}, Verdict{})}, 8))
		}
	}
}
