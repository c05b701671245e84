package scheduler

import "hookwheel/webhook"

const (
	quantum     = 4 << 10 // bytes that a lane may send in a turn
	messageCost = 1 << 10 // bytes that a message counts beside its payload
)

// readyQueue holds the lanes that may send, each once. They take turns by deficit round robin (Shreedhar & Varghese, "Efficient fair
// queuing using deficit round robin", 1995): a turn is worth some bytes, what a lane overdraws it lacks in its next turn, and so none
// gets more than its share by sending larger or more messages.
type readyQueue struct {
	lanes []*lane
	first int
}

func (q *readyQueue) empty() bool { return q.first == len(q.lanes) }

// push puts a lane at the end.
func (q *readyQueue) push(l *lane) {
	l.queued = true
	if q.first > 64 && q.first > len(q.lanes)/2 {
		q.lanes = append(q.lanes[:0], q.lanes[q.first:]...)
		q.first = 0
	}
	q.lanes = append(q.lanes, l)
}

// pop takes the lane whose turn it is.
func (q *readyQueue) pop() *lane {
	l := q.lanes[q.first]
	q.lanes[q.first] = nil
	q.first++
	l.queued = false
	if l.deficit <= 0 {
		l.deficit += quantum
	}
	return l
}

// putBack returns a lane that pop has given and that may send more: to the front for the rest of its turn, else to the end.
func (q *readyQueue) putBack(l *lane) {
	if l.deficit <= 0 || q.first == 0 {
		q.push(l)
		return
	}
	l.queued = true
	q.first--
	q.lanes[q.first] = l
}

// charge counts a delivery.
func (l *lane) charge(m *webhook.Message) { l.deficit -= messageCost + len(m.Payload) }
