package scheduler

import (
	"testing"

	"hookwheel/webhook"
)

// Lanes that always have something to send get the same number of bytes, whatever the size of their
// messages.
func TestQueueIsFair(t *testing.T) {
	var q queue[*lane]
	sizes := map[*lane]int{{}: 10, {}: 3000, {}: 200_000}
	sent := make(map[*lane]int)
	for l := range sizes {
		q.push(l)
	}
	for range 100_000 {
		l, _ := q.pop(func(*lane) bool { return true })
		m := &webhook.Message{Payload: make([]byte, sizes[l])}
		l.deficit -= cost(m)
		sent[l] += cost(m)
		q.putBack(l)
	}
	least, most := 1<<62, 0
	for l := range sizes {
		least, most = min(least, sent[l]), max(most, sent[l])
	}
	if most-least > 2*(200_000+messageCost+quantum) {
		t.Errorf("one sent %d bytes, another %d", least, most)
	}
}
