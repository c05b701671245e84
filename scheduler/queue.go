package scheduler

import "hookwheel/webhook"

const (
	quantum     = 4 << 10 // bytes that a turn is worth
	messageCost = 1 << 10 // bytes that a message counts for besides its payload
)

// turn is the place of a lane or an application in a queue.
type turn struct {
	deficit int // bytes that it may still send in this turn
}

func (t *turn) place() *turn { return t }

// queue holds those that may send, each once. They take turns by deficit round robin (Shreedhar &
// Varghese, "Efficient fair queuing using deficit round robin", 1995): a turn is worth some bytes,
// what a member overdraws it lacks in its next turns, and so none gets more than its share by
// sending larger or more messages.
type queue[T interface{ place() *turn }] struct {
	members []T
	first   int // those before have left
}

func (q *queue[T]) isEmpty() bool { return q.first == len(q.members) }

// push puts a member at the end.
func (q *queue[T]) push(m T) {
	if q.first > 64 && q.first > len(q.members)/2 {
		n := copy(q.members, q.members[q.first:])
		clear(q.members[n:])
		q.members, q.first = q.members[:n], 0
	}
	q.members = append(q.members, m)
}

// pop takes out the member whose turn it is, of those that may have one; false: none may.
func (q *queue[T]) pop(eligible func(T) bool) (m T, found bool) {
	i := q.find(eligible)
	if i < 0 {
		if i = q.round(eligible); i < 0 {
			return m, false
		}
	}
	m = q.members[i]
	copy(q.members[q.first+1:i+1], q.members[q.first:i])
	var none T
	q.members[q.first] = none
	if q.first++; q.isEmpty() {
		q.members, q.first = nil, 0
	}
	return m, true
}

// find returns the place of the first member that has not used up its turn; -1: all of those that
// may have one did.
func (q *queue[T]) find(eligible func(T) bool) int {
	for i := q.first; i < len(q.members); i++ {
		if m := q.members[i]; m.place().deficit > 0 && eligible(m) {
			return i
		}
	}
	return -1
}

// round gives a turn to all members that may have one and have used up the one before, or as many
// turns as it takes until the first of them has paid its debts. It returns the place of that one;
// -1: none may have a turn.
func (q *queue[T]) round(eligible func(T) bool) (first int) {
	rounds := 0
	first = -1
	for i := q.first; i < len(q.members); i++ {
		if m := q.members[i]; eligible(m) {
			if needed := 1 - m.place().deficit/quantum; first < 0 || needed < rounds {
				first, rounds = i, needed
			}
		}
	}
	for _, m := range q.members[q.first:] {
		if t := m.place(); t.deficit <= 0 && eligible(m) {
			t.deficit += rounds * quantum
		}
	}
	return first
}

// putBack returns a member that pop has given and that may send more: to the front for the rest of
// its turn, else to the end.
func (q *queue[T]) putBack(m T) {
	if m.place().deficit <= 0 || q.first == 0 {
		q.push(m)
		return
	}
	q.first--
	q.members[q.first] = m
}

// cost is what a delivery counts for.
func cost(m *webhook.Message) int { return messageCost + len(m.Payload) }
