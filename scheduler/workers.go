package scheduler

import (
	"sync"
	"time"
)

// class is what is known of the endpoint of a lane.
type class int

const (
	proven  class = iota // its latest attempt succeeded, and soon
	fresh                // nothing is known, or that it answers, but slowly
	failing              // it has failed since it last succeeded
	classes
)

const (
	minTrust    = 1.0 / 12 // of the workers that are free for unproven endpoints, an application whose attempts hang gets this part
	maxTrust    = 1.0 / 2  // and one whose slow attempts succeed, up to this one
	trustEarned = 1.0 / 48 // by a success
)

// workers shares out the workers: by turns among applications, and among the lanes of each. A
// worker that an endpoint keeps waiting can't be had back before the time-out, so turns are not
// enough: what an application may hold of them is a part of what is free (Choudhury & Hahne,
// "Dynamic queue length thresholds for shared-memory packet switches", 1998). However much some of
// them want, they leave workers free for those that come later, and one that is alone gets most of
// what it could use.
type workers struct {
	total  int
	shares int // applications with endpoints
	busy   [classes]int
	queues [classes]queue[*line]
	next   class // classes take turns, too
	memory requestMemory
	starts starts
	flying int       // deliveries handed out and not back
	idle   int       // workers that wait for a lane
	work   sync.Cond // there is a lane that may have a turn, or closed
	closed bool
}

// share is what one application has of the workers.
type share struct {
	busy         [classes]int
	trust        float64
	lines        [classes]line
	requestBytes int       // bytes of requests under way
	awaiting     []request // that wait for room
}

// line holds the lanes of an application that may send.
type line struct {
	turn
	share *share
	lanes queue[*lane]
}

func newShare() *share {
	s := &share{trust: minTrust}
	for c := range s.lines {
		s.lines[c].share = s
	}
	return s
}

func (s *share) total() int { return s.busy[proven] + s.unproven() }

func (s *share) unproven() int { return s.busy[fresh] + s.busy[failing] }

// class is what is known of a lane's endpoint.
func (l *lane) class() class {
	switch {
	case l.proven:
		return proven
	case l.breaker.health.FailingSince.IsZero():
		return fresh
	default:
		return failing
	}
}

// maxUnproven is how many workers there are for endpoints that have not shown that they answer
// soon. The others are for those that have.
func (w *workers) maxUnproven() int { return max(1, w.total*3/4) }

// may reports whether an application may have one more worker for endpoints of that class.
func (w *workers) allows(s *share, c class) bool {
	unproven := w.busy[fresh] + w.busy[failing]
	free := w.total - w.busy[proven] - unproven
	if free <= 0 || w.shares > 1 && s.total() >= max(1, free) {
		return false
	}
	if c == proven {
		return true
	}
	free = w.maxUnproven() - unproven
	part := free + s.unproven() // all of it if there are no others
	if w.shares > 1 {
		part = int(s.trust * float64(free))
	}
	switch {
	case free <= 0 || s.unproven() >= max(1, part):
		return false
	case c == failing: // half of it is for those that have not failed
		return s.busy[failing] < max(1, part/2)
	default:
		return true
	}
}

// push gives a lane a place in its application's line.
func (w *workers) push(l *lane) {
	c := l.class()
	line := &l.tail.share.lines[c]
	w.join(line, c)
	line.lanes.push(l)
}

// putBack gives a lane that has something left of its turn its place back.
func (w *workers) putBack(l *lane) {
	c := l.class()
	line := &l.tail.share.lines[c]
	w.join(line, c)
	line.lanes.putBack(l)
}

// join queues a line that gets its first lane.
func (w *workers) join(l *line, c class) {
	if l.lanes.isEmpty() {
		w.queues[c].push(l)
	}
}

// pop takes the lane whose turn it is; nil: none may have a worker.
func (w *workers) pop() *lane {
	for range classes {
		c := w.next
		w.next = (w.next + 1) % classes
		if l := w.popClass(c); l != nil {
			return l
		}
	}
	return nil
}

func (w *workers) popClass(c class) *lane {
	for {
		line, found := w.queues[c].pop(func(l *line) bool { return w.allows(l.share, c) })
		if !found {
			return nil
		}
		l, _ := line.lanes.pop(func(*lane) bool { return true })
		line.deficit -= messageCost
		if !line.lanes.isEmpty() {
			w.queues[c].putBack(line)
		}
		if now := l.class(); now == c || w.allows(l.tail.share, now) { // something may have become known since
			return l
		}
		w.push(l)
	}
}

// hasWork reports whether pop would find a lane.
func (w *workers) hasWork() bool {
	for c := range classes {
		q := &w.queues[c]
		for _, l := range q.members[q.first:] {
			if w.allows(l.share, c) {
				return true
			}
		}
	}
	return false
}

// await waits for the next lane that may have a turn; nil: the scheduler is closed.
func (w *workers) await() *lane {
	for !w.closed {
		var l *lane
		if w.starts.allows() {
			l = w.pop()
		} else if w.hasWork() {
			w.hold()
		}
		switch {
		case l == nil:
			w.idle++
			w.work.Wait()
			w.idle--
		case l.become(turning):
			return l
		}
	}
	return nil
}

// wake wakes a worker if there is a lane for it.
func (w *workers) wake() {
	switch {
	case w.idle == 0 || !w.hasWork():
	case w.starts.allows():
		w.work.Signal()
	default:
		w.hold()
	}
}

// hold has a worker woken when deliveries may start again.
func (w *workers) hold() {
	w.starts.hold()
	if !w.starts.paused {
		w.starts.paused = true
		time.AfterFunc(startTime, w.resume)
	}
}

func (w *workers) resume() {
	w.work.L.Lock()
	defer w.work.L.Unlock()
	w.starts.paused = false
	w.wake()
}

// close makes await return nil.
func (w *workers) close() {
	w.closed = true
	w.work.Broadcast()
}

// begin takes a worker.
func (w *workers) begin(s *share, c class) {
	w.busy[c]++
	s.busy[c]++
}

// end gives it back.
func (w *workers) end(s *share, c class) {
	w.busy[c]--
	s.busy[c]--
}

// land counts a delivery that is back.
func (w *workers) land(f flying) {
	w.flying--
	w.starts.end(f.tick)
	w.end(f.share, f.class)
	w.release(f.share, f.load)
	w.wake()
}

// succeeded and hung take in what became of an attempt at an endpoint that was not proven.
func (s *share) succeeded() { s.trust = min(maxTrust, s.trust+trustEarned) }

func (s *share) hung() { s.trust = max(minTrust, s.trust/2) }
