package httpapi

import (
	"runtime"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// What requests with tokens of one application may read on a node. Without these limits, a few
// clients that list large messages take all processors, and the events of all other customers wait.
const (
	readRate    = 8 << 20 // bytes per second for each processor, for long
	readBurst   = 2 << 20 // bytes at once, after a while without any
	readPerByte = 4       // bytes that are read from the store cost as much as one that is sent
	readShare   = 8       // to read takes one in so many of the processors, for long
	readDebt    = 4       // seconds; nothing costs more than is paid in so many

	readStep = 500 * time.Microsecond // of work, for which a read pays before it goes on
	longWork = 10 * time.Millisecond  // what takes longer between two records has waited for something
	longHold = time.Second            // of waits in one look at the store, which keeps its state for that
)

// processors is what this process may use, also in a container. It is read when the program starts,
// since a node raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

// readPaces makes the reads of an application wait until what they have read is paid for.
type readPaces struct {
	rate float64 // bytes per second
	work float64 // what a second of a processor costs, in bytes
	buckets
	closing <-chan struct{} // closed when nobody waits any longer, as the server is shutting down
}

func newReadPaces(processors int, closing <-chan struct{}) *readPaces {
	rate := float64(readRate * processors)
	return &readPaces{rate: rate, work: readRate * readShare, buckets: newBuckets(60*rate, readBurst), closing: closing}
}

// pacedRead is a read with a token of an application, which pays for its work as it goes on: so
// even a long one keeps a processor from others for a moment only. A nil one is not paced.
type pacedRead struct {
	paces *readPaces
	app   webhook.ID
	since time.Time     // what was done before is paid for
	bytes float64       // read since
	held  time.Duration // for which it has waited in the present look at the store
}

func (p *readPaces) begin(app webhook.ID) *pacedRead {
	return &pacedRead{paces: p, app: app, since: time.Now()}
}

// store returns a reader of the store that is paced.
func (p *pacedRead) store(s *wal.Store) *wal.Reader {
	if p == nil {
		return &s.Reader
	}
	return s.Paced(p.step, func() { p.end(0) })
}

// step counts bytes of a record that was read. When there is enough to pay for, it does so and
// waits until the application may go on.
func (p *pacedRead) step(bytes int) {
	if p == nil {
		return
	}
	p.bytes += float64(bytes) / readPerByte
	if p.cost() >= p.paces.work*readStep.Seconds() {
		wait := min(p.pay(), longHold-p.held)
		p.held += wait
		p.wait(wait)
	}
}

// end pays for the rest, and for a response, while nothing is held.
func (p *pacedRead) end(response int) {
	if p == nil {
		return
	}
	p.bytes += float64(response)
	p.wait(p.pay())
	p.held = 0
}

// cost returns what was done since the last payment.
func (p *pacedRead) cost() float64 {
	return p.bytes + p.paces.work*min(time.Since(p.since), longWork).Seconds()
}

// pay returns for how long the application has to wait then.
func (p *pacedRead) pay() (wait time.Duration) {
	wait = p.paces.spend(p.app, min(p.cost(), readDebt*p.paces.rate), time.Now())
	p.bytes, p.since = 0, time.Now()
	return wait
}

func (p *pacedRead) wait(wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.paces.closing:
	}
	p.since = time.Now()
}

// rest excludes from the work what the read waits for until the function that rest returns is
// called.
func (p *pacedRead) rest() (end func()) {
	if p == nil {
		return func() {}
	}
	begun := time.Now()
	return func() { p.since = p.since.Add(time.Since(begun)) }
}
