package bench

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	verifyEvery     = 1000            // deliveries to an endpoint for each signature that is verified
	verifyTolerance = 5 * time.Minute // between webhook-timestamp and now
	maxCounters     = 1 << 28         // events × endpoints, so 1 GiB
	closeTimeout    = time.Second     // for answers under way
)

// Respond is a way for a sink to misbehave. It may fill in the answer itself, or sleep, or hijack
// the connection, and then returns true; the delivery counts as arrived only if the status it
// leaves is 2xx. With false the sink answers 200, as usual. event is -1 if the body is not a
// payload of this package. It is called by many goroutines at once.
type Respond func(endpoint int, event int, ctx *fasthttp.RequestCtx) (handled bool)

// Sink is a receiver that counts what arrives at each of its endpoints. All its methods may be
// called at the same time.
type Sink struct {
	listener net.Listener
	server   fasthttp.Server
	events   int
	tallies  []tally // one for each endpoint, and last that of the bare loop
	unknown  atomic.Int64
	respond  atomic.Pointer[Respond]
}

// tally is what one endpoint has received.
type tally struct {
	counts     []atomic.Uint32 // arrivals, by event
	arrivals   atomic.Int64
	distinct   atomic.Int64 // events
	duplicated atomic.Int64 // arrivals beyond the first
	last       atomic.Int64 // the latest first arrival of an event; nanoseconds, see now
	latency    Histogram    // POST → first arrival

	secret  atomic.Pointer[webhook.Secret]
	checked atomic.Int64
	bad     atomic.Int64 // signatures, of those checked
}

// NewSink starts to listen on an address such as 127.0.0.1:0, for events 0 … events-1. Its counters
// hold one run.
func NewSink(listen string, endpoints int, events int) (*Sink, error) {
	if events < 1 || endpoints < 1 || events > maxCounters/(endpoints+1) {
		return nil, fmt.Errorf("%d events for %d endpoints: expected at least 1 of each and at most %d counters",
			events, endpoints, maxCounters)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	s := &Sink{listener: listener, events: events, tallies: make([]tally, endpoints+1)}
	for i := range s.tallies {
		s.tallies[i].counts = make([]atomic.Uint32, events)
	}
	s.server = fasthttp.Server{
		Handler:               s.serve,
		MaxRequestBodySize:    MaxSize,
		LazyRequestTime:       true,
		NoDefaultServerHeader: true,
		NoDefaultDate:         true,
		NoDefaultContentType:  true,
	}
	go s.server.Serve(listener) // ends with Close
	return s, nil
}

// URL is where an endpoint receives.
func (s *Sink) URL(endpoint int) string {
	return fmt.Sprintf("http://%s/%d", s.listener.Addr(), endpoint)
}

// Endpoints is how many endpoints there are.
func (s *Sink) Endpoints() int { return len(s.tallies) - 1 }

// Events is how many events there are counters for.
func (s *Sink) Events() int { return s.events }

// SetRespond makes the sink misbehave from the next delivery on; nil ends it.
func (s *Sink) SetRespond(respond Respond) {
	if respond == nil {
		s.respond.Store(nil)
		return
	}
	s.respond.Store(&respond)
}

// SetSecret lets the sink verify the signature of the first and every 1000th delivery to an
// endpoint.
func (s *Sink) SetSecret(endpoint int, secret webhook.Secret) {
	s.tallies[endpoint].secret.Store(&secret)
}

// Arrivals is how often an event has arrived at an endpoint.
func (s *Sink) Arrivals(endpoint int, event int) int {
	return int(s.tallies[endpoint].counts[event].Load())
}

// Delivered is how many different events have arrived at an endpoint.
func (s *Sink) Delivered(endpoint int) int { return int(s.tallies[endpoint].distinct.Load()) }

// Duplicated is how many arrivals at an endpoint were not the first of their event.
func (s *Sink) Duplicated(endpoint int) int { return int(s.tallies[endpoint].duplicated.Load()) }

// Latency is the time from POST to first arrival at an endpoint.
func (s *Sink) Latency(endpoint int) *Histogram { return &s.tallies[endpoint].latency }

// BadSignatures is how many of the signatures verified at an endpoint were wrong.
func (s *Sink) BadSignatures(endpoint int) int { return int(s.tallies[endpoint].bad.Load()) }

// Unknown is how many requests came that were not for an endpoint, or did not carry an event there
// is a counter for.
func (s *Sink) Unknown() int { return int(s.unknown.Load()) }

// Close stops listening, and waits up to a second for the answers under way.
func (s *Sink) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.server.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("closing the sink: %w", err)
	}
	return nil
}

func (s *Sink) serve(ctx *fasthttp.RequestCtx) {
	arrived := now()
	endpoint, ok := readDigits(ctx.RequestURI()[1:])
	if !ok || endpoint >= int64(len(s.tallies)) {
		s.unknown.Add(1)
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	event, sent, ok := parsePayload(ctx.PostBody())
	if !ok {
		event = -1
	}
	if s.misbehave(int(endpoint), event, ctx) {
		return
	}
	if event < 0 || event >= s.events {
		s.unknown.Add(1)
		return
	}
	t := &s.tallies[endpoint]
	t.count(event, sent, arrived)
	if t.arrivals.Add(1)%verifyEvery == 1 {
		t.verify(ctx)
	}
}

// misbehave lets the hook respond, and reports whether the delivery did not arrive. The bare loop
// is left alone.
func (s *Sink) misbehave(endpoint, event int, ctx *fasthttp.RequestCtx) bool {
	respond := s.respond.Load()
	if respond == nil || endpoint == s.Endpoints() {
		return false
	}
	return (*respond)(endpoint, event, ctx) && ctx.Response.StatusCode()/100 != 2
}

func (t *tally) count(event int, sent, arrived int64) {
	if t.counts[event].Add(1) > 1 {
		t.duplicated.Add(1)
		return
	}
	t.latency.Record(time.Duration(arrived - sent))
	t.last.Store(arrived) // a later arrival may be overtaken here, by microseconds
	t.distinct.Add(1)     // at the end, because a caller that sees all arrivals goes on to read the rest
}

func (t *tally) verify(ctx *fasthttp.RequestCtx) {
	secret := t.secret.Load()
	if secret == nil {
		return
	}
	header := func(name string) string { return string(ctx.Request.Header.Peek(name)) }
	err := webhook.Verify([]webhook.Secret{*secret}, header("webhook-id"), header("webhook-timestamp"),
		header("webhook-signature"), ctx.PostBody(), time.Now(), verifyTolerance)
	t.checked.Add(1)
	if err != nil {
		t.bad.Add(1)
	}
}
