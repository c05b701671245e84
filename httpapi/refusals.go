package httpapi

import (
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// How many requests without a valid token a node refuses at once and per second. The responses to
// more of them are delayed, so that whoever guesses tokens, or only wants to keep the node busy,
// has to wait each time.
const (
	refusalBurst = 200
	refusalRate  = 100
	refusalDelay = 500 * time.Millisecond // at most
	maxDelayed   = 500                    // responses at a time; further ones are not delayed
)

// refusals delays responses to requests without a valid token.
type refusals struct {
	buckets
	auth    *authenticator
	closing <-chan struct{} // closed when nobody waits any longer, as the server is shutting down
	delayed atomic.Int32    // responses
}

func newRefusals(auth *authenticator, closing <-chan struct{}) *refusals {
	return &refusals{buckets: newBuckets(60*refusalRate, refusalBurst), auth: auth, closing: closing}
}

// delay waits if a response refuses a request without a valid token, and there are many of those.
// The connection counts as idle, so it may be closed meanwhile.
func (f *refusals) delay(ctx *fasthttp.RequestCtx) {
	if status := ctx.Response.StatusCode(); status < 400 || status >= 500 || ctx.UserValue(callerValue{}) != nil {
		return
	}
	wait, inTime := f.reserve(webhook.ID{}, 1, time.Now(), refusalDelay) // one bucket for all
	if !inTime {
		wait = refusalDelay
	}
	if wait <= 0 {
		return
	}
	if _, err := f.auth.authenticate(tokenOf(&ctx.Request.Header)); err == nil { // and there is no such operation
		return
	}
	if f.delayed.Add(1) <= maxDelayed {
		connOf(ctx.Conn()).sleep(wait, f.closing)
	}
	f.delayed.Add(-1)
}
