package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

const (
	maxRequestBytes = 128 << 20 // of all requests in flight, not counting small ones
	smallRequest    = 16 << 10  // bytes up to which a request is small
)

// requestMemory is the memory that requests in flight take. It is shared as workers are: an
// application gets a part of what is free, and endpoints that have not shown that they respond soon
// leave some for those that have. A lane without room waits in a list of its application.
type requestMemory struct {
	bytes   int
	waiting []*share // applications with waiting lanes, which take turns
}

// request is a lane that waits for room for a request of some bytes.
type request struct {
	lane  *lane
	bytes int
}

// load returns roughly how many bytes the request of a message takes in memory, or 0 if it is
// small. An envelope needs copies of the payload, and in it text that is not JSON may grow to six
// times its size.
func load(m *webhook.Message, endpoint *webhook.Endpoint) int {
	size := len(m.Payload)
	switch {
	case !endpoint.Envelope:
	case m.Raw:
		size *= 14
	default:
		size *= 3
	}
	if size <= smallRequest {
		return 0
	}
	return size
}

// fits reports whether there is room for a request of the given size to an endpoint of class c,
// besides what is promised to others. An application with no large request in flight may always
// send one, unless the total would exceed twice the limit.
func (w *workers) fits(s *share, c class, bytes, promised int) bool {
	carried := w.memory.bytes + promised
	if bytes == 0 || carried == 0 {
		return true
	}
	if s.requestBytes == 0 && carried+bytes <= 2*maxRequestBytes {
		return true
	}
	room := maxRequestBytes - carried
	if c != proven {
		room -= maxRequestBytes / 4
	}
	if w.shares > 1 {
		room -= s.requestBytes
	}
	return bytes <= room
}

// hasRoom reports whether a message that was taken for a lane may be sent. If not, the lane waits
// for room, and the caller must put the message back.
func (w *workers) hasRoom(l *lane, m *webhook.Message) bool {
	bytes, share := load(m, l.endpoint), l.tail.share
	if w.fits(share, l.class(), bytes, 0) {
		return true
	}
	l.become(awaitingMemory)
	if len(share.awaiting) == 0 {
		w.memory.waiting = append(w.memory.waiting, share)
	}
	share.awaiting = append(share.awaiting, request{l, bytes})
	l.tail.leaveLine(l)
	return false
}

// reserve counts the bytes of a request that is sent.
func (w *workers) reserve(s *share, bytes int) {
	w.memory.bytes += bytes
	s.requestBytes += bytes
}

// release returns the bytes of a request, and enqueues lanes that waited for room, one of each
// application in turn.
func (w *workers) release(share *share, bytes int) {
	if bytes == 0 {
		return
	}
	w.reserve(share, -bytes)
	promised := 0
	for admitted := true; admitted; {
		admitted = false
		for range len(w.memory.waiting) {
			if r := w.nextAwaiting(promised); r.lane != nil {
				admitted = true
				promised += r.bytes
				r.lane.become(idle)
				r.lane.enqueue()
			}
		}
	}
}

// nextAwaiting takes a waiting lane of the application whose turn it is, or a zero request if
// there is no room for it besides what was promised.
func (w *workers) nextAwaiting(promised int) (r request) {
	share := w.memory.waiting[0]
	w.memory.waiting = w.memory.waiting[1:]
	share.awaiting = slices.DeleteFunc(share.awaiting, func(r request) bool { return r.lane.state == gone })
	if len(share.awaiting) == 0 {
		return r
	}
	first := share.awaiting[0]
	if w.fits(share, first.lane.class(), first.bytes, promised) {
		r, share.awaiting = first, slices.Delete(share.awaiting, 0, 1)
	}
	if len(share.awaiting) > 0 {
		w.memory.waiting = append(w.memory.waiting, share)
	}
	return r
}
