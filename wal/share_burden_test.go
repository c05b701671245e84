package wal

import (
	"fmt"
	"testing"
	"time"

	"hookwheel/webhook"
)

// TestShareOfHeld: small messages that many endpoints hold back take little of the log, but much
// for the sets of these endpoints. That is not at the expense of other applications.
func TestShareOfHeld(t *testing.T) {
	const maxSize, endpoints, each = 1 << 20, 40, 2
	c := newCrowd(t, maxSize, false)
	first := make(map[webhook.ID]webhook.ID) // by quiet application: its oldest message
	for _, app := range c.quiet {
		id, refused := c.post(t, app)
		if refused != nil {
			t.Fatal(refused)
		}
		first[app] = id
	}
	var failing []webhook.ID
	for i := range endpoints {
		endpoint, err := c.w.CreateEndpoint(t.Context(),
			webhook.Endpoint{App: c.flood, URL: fmt.Sprintf("http://x%d/", i), Keys: testKeys})
		if err != nil {
			t.Fatal(err)
		}
		failing = append(failing, endpoint.ID)
	}
	for round := 0; c.space.Size() <= maxSize+maxSize/9; round++ {
		if round == 1000 {
			t.Fatalf("it takes only %d bytes", c.space.Size())
		}
		var ids []webhook.ID
		for range each {
			id, err := c.w.CreateMessage(t.Context(), &webhook.Message{App: c.flood, EventType: "a", Payload: []byte(`{}`)})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		for _, endpoint := range failing {
			p := webhook.Progress{Endpoint: endpoint, Cursor: ids[each-1]}
			for _, id := range ids {
				p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id}, Hold: true, Key: webhook.OrderingKeyHash("")})
			}
			if err := c.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
				t.Fatal(err)
			}
		}
		c.shrink(t)
	}
	for _, app := range c.quiet {
		if m, err := c.Message(app, first[app].Text(webhook.KindMessage)); err != nil || m == nil {
			t.Errorf("a message of a quiet application has left: %v", err)
		}
		if _, refused := c.post(t, app); refused != nil {
			t.Errorf("a quiet application is refused: %v", refused)
		}
	}
	if _, refused := c.post(t, c.flood); refused == nil {
		t.Error("the application with these endpoints is not refused")
	}
}

// TestShareOfNewLeader: a leader that has not determined the size of the store yet, or did so when
// it led long ago, still refuses exactly the applications beyond their share.
func TestShareOfNewLeader(t *testing.T) {
	const maxSize = 1 << 20
	for name, prepare := range map[string]func(*pressure){
		"new": func(*pressure) {},
		"a large share from long ago": func(p *pressure) {
			p.share, p.holders, p.shared = maxSize, 2, time.Now().Add(-2*shareAge)
		},
		"a small share from long ago": func(p *pressure) {
			p.share, p.holders, p.shared = 1, 2, time.Now().Add(-2*shareAge)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrowd(t, maxSize, true)
			prepare(&c.gate.pressure)
			for _, app := range c.quiet {
				if _, refused := c.post(t, app); refused != nil {
					t.Fatal(refused)
				}
			}
			for range 2 * maxSize >> 10 {
				if _, refused := c.post(t, c.flood); refused != nil {
					break
				}
			}
			if size := c.space.Size(); size > maxSize+maxSize/8 {
				t.Errorf("the flood was let go on until all took %d bytes of %d", size, maxSize)
			}
			for _, app := range c.quiet {
				if _, refused := c.post(t, app); refused != nil {
					t.Errorf("a quiet application is refused: %v", refused)
				}
			}
		})
	}
}

// TestShareOfRetries: what receivers respond to an application that has used up its share does not
// take the room of the others, however often its messages are attempted, and it may ask for no
// further attempts.
func TestShareOfRetries(t *testing.T) {
	const maxSize = 1 << 20
	c := newCrowd(t, maxSize, true)
	var flood []webhook.ID
	for {
		id, refused := c.post(t, c.flood)
		if refused != nil {
			break
		}
		flood = append(flood, id)
	}
	endpoint := c.catalog.byApp[c.flood][0]
	var before webhook.ID
	for i := range 60 {
		a := webhook.Attempt{Message: flood[i], Number: 1, Start: time.UnixMilli(testClock), Next: time.UnixMilli(testClock + 1000),
			Status: webhook.StatusFail, URL: endpoint.URL, Response: make([]byte, webhook.MaxResponse)}
		list := []webhook.Progress{{Endpoint: endpoint.ID, Cursor: flood[i], Outcomes: []webhook.Outcome{{Attempt: a}}}}
		c.gate.Economize(list)
		if err := c.w.Leader(1).RecordProgress(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		before = flood[i]
		c.shrink(t)
	}
	for _, app := range c.quiet {
		if _, refused := c.post(t, app); refused != nil {
			t.Errorf("a quiet application is refused: %v", refused)
		}
	}
	body := mustEncode(t, kindResend, resend{c.flood, endpoint.ID, before})
	if err := c.admit(body, nil, false); webhook.ErrorCode(err) != webhook.CodeMakingRoom && webhook.ErrorCode(err) != webhook.CodeNoSpace {
		t.Errorf("a resend of the application without room: %v", err)
	}
	if err := c.admit(mustEncode(t, kindResend, resend{App: c.quiet[0]}), nil, false); err != nil {
		t.Errorf("a resend of another: %v", err)
	}
}
