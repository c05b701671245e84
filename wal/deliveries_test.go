package wal

import (
	"slices"
	"testing"

	"hookwheel/webhook"
)

// TestOrderingKeys: the keys come in the order of the messages asked for.
func TestOrderingKeys(t *testing.T) {
	s := newSized(t, 100<<20)
	for _, key := range []string{"a", "", "b"} {
		m := s.message()
		m.OrderingKey = key
		id, err := s.w.CreateMessage(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		s.messages = append(s.messages, id)
	}
	list := []webhook.ID{s.messages[2], s.endpoint, s.messages[0], s.messages[1]} // there is no message with the ID of an endpoint
	keys, err := s.Deliveries().OrderingKeys(s.app, list)
	want := []uint64{webhook.OrderingKeyHash("b"), 0, webhook.OrderingKeyHash("a"), 0}
	if err != nil || !slices.Equal(keys, want) {
		t.Errorf("%v %v, want %v", keys, err, want)
	}
}
