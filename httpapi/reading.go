package httpapi

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"hookwheel/webhook"
)

// What requests with tokens of one application may read on a node. Without these limits, a few
// clients that list large messages take all processors, and the events of all other customers wait.
const (
	readRate    = 8 << 20 // bytes per second for each processor, for long
	readBurst   = 8 << 20 // bytes at once, after a while without any
	readPerByte = 4       // bytes that are read from the store cost as much as one that is sent
	readDebt    = 4       // seconds; no request costs more than is paid in so many
)

// processors is what this process may use, also in a container. It is read when the program starts,
// since a node raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

// readPaces makes the reads of an application wait until its earlier ones are paid for. Each pays
// in advance what they usually cost, and a first one a burst, so that large ones come one by one.
type readPaces struct {
	rate float64 // bytes per second
	buckets
	paid chan struct{} // closed, and replaced, when a request was paid for; guarded by mu
}

func newReadPaces() *readPaces {
	rate := float64(readRate * processors)
	return &readPaces{rate: rate, buckets: newBuckets(60*rate, readBurst), paid: make(chan struct{})}
}

var errReadMuch = &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf(
	"Requests with tokens of the same application have read more from this node than they may, which is %d MiB a second for each processor: "+
		"this one has waited for %s. Read less at a time, or more slowly.", readRate>>20, leaderTimeout)}

// begin waits until the application has paid for what it has read. The caller must call end with
// what the request has cost.
func (p *readPaces) begin(ctx context.Context, app webhook.ID, closing <-chan struct{}) (end func(cost int), err error) {
	for {
		advance, wait, paid := p.advance(app, time.Now())
		if wait == 0 {
			return func(cost int) { p.pay(app, float64(cost), advance, time.Now()) }, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-paid:
		case <-ctx.Done():
			err = errReadMuch
		case <-closing:
			err = errStopping
		}
		if timer.Stop(); err != nil {
			return nil, err
		}
	}
}

// advance pays what a request usually costs, or returns for how long it has to wait, unless an
// earlier one turns out to have cost less.
func (p *readPaces) advance(app webhook.ID, now time.Time) (advance float64, wait time.Duration, paid <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, known := p.of[app]
	own := p.current(app, now)
	if !known {
		own.usual = p.size
	}
	advance = min(own.usual, p.size)
	if own.left < advance {
		return 0, time.Duration((advance-own.left)/p.rate*float64(time.Second)) + 1, p.paid
	}
	own.left -= advance
	p.of[app] = own
	return advance, 0, nil
}

// pay pays the rest of what a request costs.
func (p *readPaces) pay(app webhook.ID, cost, advance float64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.current(app, now)
	cost = min(cost, readDebt*p.rate)
	own.left -= cost - advance
	own.usual += (cost - own.usual) / 2
	p.of[app] = own
	close(p.paid)
	p.paid = make(chan struct{})
}

// cost returns what the request has cost in bytes, when its response is known.
func (r *request) cost() int {
	return r.read/readPerByte + max(0, bodySize(&r.http.Response, string(r.http.Method())))
}
