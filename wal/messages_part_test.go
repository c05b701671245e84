package wal

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"hookwheel/webhook"
)

// placed gives messages the first places of a part.
func placed(list ...webhook.Message) (part []PlacedMessage) {
	for i, m := range list {
		part = append(part, PlacedMessage{i, m})
	}
	return part
}

// A part of a batch takes effect as a whole, next to each other in the log, except the messages
// whose event ID is taken; under an idempotency key it does so once, and its reply stays the same.
func TestCreateMessages(t *testing.T) {
	s, w, app, _ := newWorld(t)
	message := func(eventID string, n int) webhook.Message {
		return webhook.Message{EventType: "a", EventID: eventID, Payload: fmt.Appendf(nil, `{"n":%d}`, n), Retention: time.Hour}
	}
	before := message("taken", 0)
	before.App = app.ID
	if _, err := w.CreateMessage(t.Context(), &before); err != nil {
		t.Fatal(err)
	}
	part := placed(message("", 1), message("twice", 2), message("taken", 3), message("twice", 4), message("e", 5))
	part[4].Place = 100 // those between were not valid
	key := &Once{Key: [16]byte{1}, Fingerprint: [16]byte{2}}
	got, err := w.CreateMessages(key.Context(t.Context()), app.ID, part)
	if err != nil || len(got) != len(part) {
		t.Fatal(got, err)
	}
	for i, p := range got {
		if p.Place != part[i].Place || p.ID.IsZero() != (i == 2 || i == 3) {
			t.Errorf("message %d: %+v", i, p)
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 10, Ascending: true}, MessageFilter{})
	if err != nil || len(list) != 4 {
		t.Fatal(len(list), err)
	}
	for i, place := range []int{0, 1, 4} {
		if m := list[1+i]; m.ID != got[place].ID || !bytes.Equal(m.Payload, part[place].Payload) || m.EventID != part[place].EventID {
			t.Errorf("message %d of the log is %s %q, want %s", i, m.ID.Text(webhook.KindMessage), m.Payload, got[place].ID.Text(webhook.KindMessage))
		}
	}
	again, err := w.CreateMessages(key.Context(t.Context()), app.ID, part[:1]) // whatever the part holds by now
	if err != nil || !key.Repeated || !reflect.DeepEqual(again, got) {
		t.Errorf("again: %+v %v, want %+v", again, err, got)
	}
	kept, err := s.Kept(key, time.UnixMilli(testClock))
	if err != nil || kept == nil || !reflect.DeepEqual(kept.Messages, got) {
		t.Errorf("kept: %+v %v", kept, err)
	}
	_, err = w.CreateMessages(t.Context(), webhook.NewID(1, 1, 1), part)
	wantCode(t, err, webhook.CodeNotFound)
}

// An empty part notes its idempotency key.
func TestCreateNoMessages(t *testing.T) {
	s, w, app, _ := newWorld(t)
	key := &Once{Key: [16]byte{1}}
	if got, err := w.CreateMessages(key.Context(t.Context()), app.ID, nil); err != nil || len(got) != 0 {
		t.Fatal(got, err)
	}
	kept, err := s.Kept(key, time.UnixMilli(testClock))
	if err != nil || kept == nil || kept.Messages == nil || len(kept.Messages) != 0 {
		t.Errorf("%+v %v", kept, err)
	}
}

// Messages take turns by application, alone or in parts, and short ones count their lines.
func TestFlowAndCostOfParts(t *testing.T) {
	s, _, app, _ := newWorld(t)
	one := appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})
	part := encodeCreateMessages(app.ID, slices.Clone(placed(make([]webhook.Message, MaxMessages)...)))
	once := encodeIdempotent([16]byte{1}, [16]byte{}, part)
	for name, body := range map[string][]byte{"part": part, "with key": once} {
		if s.Flow(body) != s.Flow(one) {
			t.Errorf("%s: flow %q, alone %q", name, s.Flow(body), s.Flow(one))
		}
		if got := s.Cost(body); got < len(body)+MaxMessages*lineCost {
			t.Errorf("%s: cost %d", name, got)
		}
	}
}

func TestPostedTo(t *testing.T) {
	app := webhook.NewID(1, 2, 3)
	one := appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a"})
	part := encodeCreateMessages(app, placed(webhook.Message{EventType: "a"}, webhook.Message{EventType: "b"}))
	for _, test := range []struct {
		body []byte
		want int
	}{{one, 1}, {part, 2}, {encodeIdempotent([16]byte{1}, [16]byte{}, part), 2}} {
		if got, n := PostedTo(test.body); n != test.want || got != app {
			t.Errorf("%v, %d messages, want %d", got, n, test.want)
		}
		for size := range len(test.body) { // may be anything, but must not panic
			PostedTo(test.body[:size])
		}
	}
	for _, k := range []kind{kindRecordProgress, kindCreateEndpoint, kindResend} {
		if _, n := PostedTo(append([]byte{byte(k)}, one[1:]...)); n != 0 {
			t.Errorf("a command of kind %d posts %d messages", k, n)
		}
	}
}
