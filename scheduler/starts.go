package scheduler

import (
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// startTime is for how long a delivery that was handed out counts as starting.
	startTime = time.Millisecond

	// heldTime is for how long deliveries count as held.
	heldTime = 50 * time.Millisecond

	// maxStarting is how many deliveries may start at a time, for each CPU. Twice as many make
	// nothing faster; with a third, a CPU is sometimes idle while messages wait.
	maxStarting = 12
)

// processors is what this process may use, also in a container. It is read when the program starts,
// since a node raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

// starts limits how many deliveries start at a time. A delivery that starts needs a CPU, and one
// that waits for its receiver does not. If hundreds could start together, whatever else the node
// does, such as accepting an event, would have to wait each time until all of them have had a CPU.
type starts struct {
	limit  int
	epoch  time.Time    // from which ticks of startTime count
	tick   int64        // the latest one
	latest int          // deliveries that started in it and are not back
	before int          // and in the one before
	paused bool         // a timer will wake workers
	held   atomic.Int64 // when deliveries last had to wait, as a time.Duration after epoch
}

func (s *starts) init() { s.limit, s.epoch = maxStarting*processors, time.Now().Add(-heldTime) }

// begin counts a delivery, and returns the tick in which it started.
func (s *starts) begin() (tick int64) {
	s.turn()
	s.latest++
	return s.tick
}

// end counts a delivery that is back.
func (s *starts) end(tick int64) {
	switch tick {
	case s.tick:
		s.latest--
	case s.tick - 1:
		s.before--
	}
}

// allows reports whether one more may start.
func (s *starts) allows() bool {
	if s.latest+s.before < s.limit {
		return true
	}
	s.turn()
	return s.latest+s.before < s.limit
}

// hold notes that a delivery has to wait.
func (s *starts) hold() { s.held.Store(int64(time.Since(s.epoch))) }

// holds reports whether deliveries have had to wait lately. It may be called without the
// scheduler's lock.
func (s *starts) holds() bool { return time.Since(s.epoch)-time.Duration(s.held.Load()) < heldTime }

func (s *starts) turn() {
	tick := int64(time.Since(s.epoch) / startTime)
	switch tick - s.tick {
	case 0:
		return
	case 1:
		s.before = s.latest
	default:
		s.before = 0
	}
	s.tick, s.latest = tick, 0
}
