package scheduler

import "time"

const (
	firstLimit = 4                      // deliveries under way to an endpoint that nothing is known about
	easyDelay  = 100 * time.Millisecond // up to here latency is never a sign of overload
	slowFactor = 2                      // from so many times the usual latency on it is
	usualShare = 0.1                    // of the latest latency in the usual one
)

// concurrency is how many deliveries may be under way to one endpoint at a time. It is TCP's congestion control with deliveries for
// packets: additive increase and multiplicative decrease, which share a bottleneck fairly whoever else uses it (Chiu & Jain,
// "Analysis of the increase and decrease algorithms for congestion avoidance in computer networks", 1989), and a slow start (Jacobson,
// "Congestion avoidance and control", 1988) until the first sign of overload. It grows only while it is what holds deliveries back.
type concurrency struct {
	limit  float64
	max    float64
	steady bool          // the slow start is over
	usual  time.Duration // latency of successes, smoothed
	cutAt  time.Time     // when it last shrank: what was sent before says nothing new
}

func newConcurrency(max int) concurrency {
	return concurrency{limit: min(firstLimit, float64(max)), max: float64(max)}
}

// allows tells whether one more may be under way.
func (c *concurrency) allows(underWay int) bool { return underWay < int(c.limit) }

// success takes a success in; full tells whether the limit was reached when it was sent.
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
		c.limit = min(c.max, c.limit+1/c.limit)
	default:
		c.limit = min(c.max, c.limit+1)
	}
}

// overload takes in a time-out, a connection that failed, a 429 or a 5xx to something that was sent at that time. However many
// there are of one moment, they count once.
func (c *concurrency) overload(sent, now time.Time) {
	if sent.Before(c.cutAt) {
		return
	}
	c.steady, c.cutAt = true, now
	c.limit = max(1, c.limit/2)
}

// restart begins anew from one, after a time without deliveries.
func (c *concurrency) restart() { *c = concurrency{limit: 1, max: c.max} }
