package scheduler

import (
	"testing"

	"hookwheel/webhook"
)

// Lanes that always have something to send get the same number of bytes, whatever the size of their
// messages.
func TestQueueIsFair(t *testing.T) {
	var q queue[*lane]
	messages := make(map[*lane]*webhook.Message)
	for _, size := range []int{10, 3000, 200_000} {
		l := new(lane)
		messages[l] = &webhook.Message{Payload: make([]byte, size)}
		q.push(l)
	}
	sent := make(map[*lane]int)
	for range 100_000 {
		l, _ := q.pop(func(*lane) bool { return true })
		l.deficit -= cost(messages[l])
		sent[l] += cost(messages[l])
		q.putBack(l)
	}
	least, most := 1<<62, 0
	for l := range messages {
		least, most = min(least, sent[l]), max(most, sent[l])
	}
	if most-least > 2*(200_000+messageCost+quantum) {
		t.Errorf("one sent %d bytes, another %d", least, most)
	}
}
