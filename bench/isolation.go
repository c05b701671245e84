package bench

import (
	"context"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// The bad endpoints of Isolation.
const (
	goodEndpoints = 17
	hanging       = goodEndpoints     // never answers
	resetting     = goodEndpoints + 1 // breaks each connection off
	failingLate   = goodEndpoints + 2 // answers 500 after failingAfter
	allEndpoints  = goodEndpoints + 3

	failingAfter   = 10 * time.Second
	hangingFor     = 2 * time.Minute // longer than any attempt
	isolationRate  = 100             // events per second, to all endpoints
	isolationPhase = 20 * time.Second
	isolationLimit = 1.3
)

// Isolation measures what three bad endpoints do to the latency of 17 good ones.
func (s *Scenario) Isolation(ctx context.Context, rounds int) (*Comparison, error) {
	good := func(endpoint int) bool { return endpoint < goodEndpoints }
	p := phase{name: "17 endpoints", endpoints: goodEndpoints, rate: isolationRate, duration: isolationPhase, size: 1 << 10}
	bad := p
	bad.name, bad.endpoints, bad.respond = "and 3 bad ones", allEndpoints, behaveBadly
	return s.compare(ctx, "17 endpoints beside one that hangs, one that resets, one that answers 500 after 10 s", rounds, isolationLimit,
		func(ctx context.Context) (*Histogram, error) { return s.run(ctx, p, good) },
		func(ctx context.Context) (*Histogram, error) { return s.run(ctx, bad, good) })
}

// behaveBadly answers as the bad endpoints do, until the sink is closed.
func behaveBadly(endpoint, _ int, ctx *fasthttp.RequestCtx) bool {
	switch endpoint {
	case hanging:
		pause(ctx, hangingFor)
	case resetting:
		ctx.HijackSetNoResponse(true)
		ctx.Hijack(func(conn net.Conn) { _ = conn.Close() })
		if tcp, ok := ctx.Conn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // closing it then resets it
		}
	case failingLate:
		pause(ctx, failingAfter)
	default:
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusInternalServerError)
	return true
}
