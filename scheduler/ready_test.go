package scheduler

import (
	"testing"

	"hookwheel/webhook"
)

// Lanes that always have something to send get the same number of bytes, whatever the size of their messages.
func TestReadyQueueIsFair(t *testing.T) {
	var q readyQueue
	sizes := map[*lane]int{{}: 10, {}: 3000, {}: 200_000}
	sent := make(map[*lane]int)
	for l := range sizes {
		q.push(l)
	}
	for range 100_000 {
		l := q.pop()
		if l.deficit <= 0 {
			q.push(l)
			continue
		}
		m := &webhook.Message{Payload: make([]byte, sizes[l])}
		l.charge(m)
		sent[l] += sizes[l] + messageCost
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
