package scheduler

import "time"

const (
	firstLimit = 4                      // concurrent deliveries to an endpoint about which nothing is known
	easyDelay  = 100 * time.Millisecond // latency that is never a sign of overload
	slowFactor = 2                      // multiple of the usual latency that is a sign of overload
	usualShare = 0.1                    // weight of the latest latency in the usual one
)

// concurrency limits the concurrent deliveries to one endpoint. It is TCP's congestion control with
// deliveries for packets: additive increase and multiplicative decrease, which share a bottleneck
// fairly whoever else uses it (Chiu & Jain, "Analysis of the increase and decrease algorithms for
// congestion avoidance in computer networks", 1989), and a slow start (Jacobson, "Congestion
// avoidance and control", 1988) until the first sign of overload. It grows only while it is what
// limits deliveries.
type concurrency struct {
	limit  float64
	max    uint32        // no limit is above it
	steady bool          // the slow start is over
	usual  time.Duration // latency of successes, smoothed
	cutAt  time.Time     // when the limit last shrank: attempts sent before that say nothing new
}

func newConcurrency(max int) concurrency {
	return concurrency{limit: min(firstLimit, float64(max)), max: uint32(max)}
}

// allows reports whether one more delivery may be in flight.
func (c *concurrency) allows(underWay int) bool { return underWay < int(c.limit) }

// success counts a success; full reports whether the limit was reached when the attempt was sent.
func (c *concurrency) success(latency time.Duration, full bool) {
	strained := latency > easyDelay && c.usual > 0 && latency > slowFactor*c.usual
	if c.usual == 0 {
		c.usual = latency
	}
	c.usual += time.Duration(usualShare * float64(latency-c.usual))
	switch {
	case strained:
		c.steady = true
	case !full:
	case c.steady:
		c.limit = min(float64(c.max), c.limit+1/c.limit)
	default:
		c.limit = min(float64(c.max), c.limit+1)
	}
}

// overload counts a timeout, a failed connection, a 429 or a 5xx of an attempt that was sent at the
// given time. Any number of them from the same moment count once.
func (c *concurrency) overload(sent, now time.Time) {
	if sent.Before(c.cutAt) {
		return
	}
	c.steady, c.cutAt = true, now
	c.limit = max(1, c.limit/2)
}

// restart starts again from one, after a time without deliveries.
func (c *concurrency) restart() { *c = concurrency{limit: 1, max: c.max} }
