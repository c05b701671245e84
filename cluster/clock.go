package cluster

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// clockTolerance is how far clocks may differ before this node warns or acts.
	clockTolerance = 5 * time.Second

	// clockPatience is how long the only available wall clock must differ from the time by the
	// monotonic clock before it is trusted.
	clockPatience = time.Minute

	// clockRTT is the longest round trip of a call whose response is used as a sample of another
	// node's clock.
	clockRTT = 500 * time.Millisecond

	// clockWait is how long a new leader waits for the clocks of a majority.
	clockWait = 5 * time.Second
)

// clock is the cluster's time as this node knows it. It runs on the monotonic clock of the process
// and is corrected by the wall clocks of all voters that respond, so that no single wrong clock
// changes it: with three or more clocks by their median, with two by the range between them. A node
// that is alone has only its own wall clock, and accepts a jump of that clock after clockPatience.
//
// All times inside are offsets: a wall clock minus the time since this process began, which is
// constant while the clock is right.
type clock struct {
	wall    func() time.Time     // time.Now, except in tests
	elapsed func() time.Duration // monotonic, since the process began

	offset atomic.Int64 // of the cluster's time since epoch, in nanoseconds
	own    atomic.Int64 // how far our wall clock was ahead of the cluster's time at the last tick, in nanoseconds

	mu       sync.Mutex
	samples  map[string]clockSample
	since    time.Duration // when the only available clock began to differ; 0: it does not
	settled  chan struct{} // closed when the clocks of a majority have been heard
	isUnsure bool          // settled is not closed yet
}

// clockSample is the wall clock of another node.
type clockSample struct {
	offset time.Duration
	at     time.Duration // when the sample was taken
}

// epoch is the origin of offsets.
var epoch = time.Unix(0, 0)

func newClock(wall func() time.Time, elapsed func() time.Duration) *clock {
	c := &clock{wall: wall, elapsed: elapsed, samples: make(map[string]clockSample),
		settled: make(chan struct{}), isUnsure: true}
	c.offset.Store(int64(c.ownOffset()))
	return c
}

// processClock returns the clock of this process.
func processClock() *clock {
	begin := time.Now()
	return newClock(time.Now, func() time.Duration { return time.Since(begin) })
}

// ownOffset returns the offset of our wall clock. Round drops the monotonic reading, which Sub
// would prefer.
func (c *clock) ownOffset() time.Duration {
	return c.wall().Round(0).Sub(epoch) - c.elapsed()
}

// now returns the cluster's time. The time may go back after it was wrong.
func (c *clock) now() time.Time {
	if trustsOwnClock {
		return c.wall()
	}
	return epoch.Add(c.at() + c.elapsed())
}

// at returns the offset of the cluster's time.
func (c *clock) at() time.Duration { return time.Duration(c.offset.Load()) }

// heard records that the wall clock of another node read at. The call was sent at begin, counted
// from the start of this process, and has just been answered.
func (c *clock) heard(server string, at time.Time, begin time.Duration) {
	end := c.elapsed()
	if end-begin > clockRTT {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.samples[server] = clockSample{offset: at.Sub(epoch) - (begin+end)/2, at: end}
}

// tick corrects the clock by the samples of the other voters, and returns the voters whose clocks
// are right.
func (c *clock) tick(self string, voters []string) (right []string) {
	if len(voters) == 0 { // not in a cluster yet
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now, own := c.elapsed(), c.ownOffset()
	offsets := []time.Duration{own}
	fresh := make(map[string]time.Duration)
	for server, sample := range c.samples {
		switch {
		case !slices.Contains(voters, server):
			delete(c.samples, server)
		case server != self && now-sample.at < seenFresh:
			fresh[server] = sample.offset
			offsets = append(offsets, sample.offset)
		}
	}
	slices.Sort(offsets)
	switch {
	case len(offsets) <= len(voters)/2: // no majority, so this node can't lead: continue on the monotonic clock
	case len(offsets) == 1:
		c.followOwn(own, now)
	default:
		c.followAll(offsets)
	}
	c.own.Store(int64(own - c.at()))
	for server, offset := range fresh {
		if (offset - c.at()).Abs() <= clockTolerance {
			right = append(right, server)
		}
	}
	return right
}

// correct corrects the clock by the last responses of the members, and returns the other voters
// whose clocks are right.
func (c *clock) correct(self string, members []Server) (right []Server) {
	voters := make(map[string]Server)
	var ids []string
	for _, m := range members {
		if m.Voter {
			voters[m.Server] = m
			ids = append(ids, m.Server)
		}
	}
	for _, id := range c.tick(self, ids) {
		right = append(right, voters[id])
	}
	return right
}

// followOwn corrects the clock by our own wall clock, the only one available.
func (c *clock) followOwn(own, now time.Duration) {
	differs := (own - c.at()).Abs() > clockTolerance
	switch {
	case differs && c.isUnsure: // at the start no other time is known
	case differs && c.since == 0:
		c.since = now
		return
	case differs && now-c.since < clockPatience:
		return
	}
	c.since = 0
	c.offset.Store(int64(own))
	c.settle()
}

// followAll corrects the clock by offsets, which are sorted. With an odd number of clocks the time
// is their median; with an even number it may be anywhere between the middle two.
func (c *clock) followAll(offsets []time.Duration) {
	low, high := offsets[(len(offsets)-1)/2], offsets[len(offsets)/2]
	is := c.at()
	if c.isUnsure {
		is = low // nothing may expire early
	}
	c.offset.Store(int64(min(max(is, low), high)))
	c.since = 0
	c.settle()
}

func (c *clock) settle() {
	if c.isUnsure {
		c.isUnsure = false
		close(c.settled)
	}
}

// ahead returns by how much our wall clock was ahead of the cluster's time at the last tick.
func (c *clock) ahead() time.Duration {
	if trustsOwnClock {
		return 0
	}
	return time.Duration(c.own.Load())
}

// await returns when the clocks of a majority are known, but at the latest after clockWait or when
// ctx ends.
func (c *clock) await(ctx context.Context) {
	select {
	case <-c.settled:
		return
	default:
	}
	late := time.NewTimer(clockWait)
	defer late.Stop()
	select {
	case <-c.settled:
	case <-late.C:
	case <-ctx.Done():
	}
}

// Now returns the cluster's time: the wall clock of this node, corrected by those of the others.
// No single wrong clock of three changes it. The time may go back after it was wrong.
func (n *Node) Now() time.Time { return n.clock.now() }

// watchClock corrects the cluster's time after each round of calls to the members, and hands over
// leadership if this node's clock is wrong.
func (s *supervisor) watchClock() {
	n := s.node
	right := n.clock.correct(n.identity.Server, n.servers())
	ahead := n.clock.ahead()
	if ahead.Abs() <= clockTolerance {
		return
	}
	n.warnings.log("the clock of this node is wrong: it differs from those of the other nodes. "+
		"Set it, and keep it right with NTP", "ahead", ahead.Round(time.Millisecond))
	if len(right) > 0 && s.mayHandOver() {
		s.handOver(&right[0], "the clock of this node is wrong")
	}
}
