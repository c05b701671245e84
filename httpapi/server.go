package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"hookwheel/cluster"
	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	leaderTimeout   = 10 * time.Second // how long a request waits for a leader
	readTimeout     = 30 * time.Second // for a whole request to arrive
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	shutTime        = 20 * time.Millisecond  // without a new connection before the listener closes
	shutLimit       = time.Second            // for all of these
	lingerTime      = 100 * time.Millisecond // for requests under way on connections that seem idle
	arrivalTime     = 2 * time.Second        // for requests to arrive after a shutdown has begun
	unreadTime      = 5 * time.Second        // and for a part of a response to be read
	acceptPause     = 50 * time.Millisecond  // after a failure to accept
)

// Config configures a Server.
type Config struct {
	Listen string // host:port; port 0 picks a free one
	// The addresses of listeners that serve only the portal, and only metrics and the reference.
	// Without an address the API's listener serves them.
	PortalListen  string
	MetricsListen string
	MetricsToken  bool  // whether metrics need a token
	Tails         int   // streams of events
	MaxBody       int   // bytes
	Pprof         bool  // whether admins get profiles of the process
	MaxBatch      int   // bytes of a batch of messages; at least MaxBody
	MaxSize       int64 // bytes of all records; 0: no limit
	// Connections whose file descriptor would be the number that this returns or a higher one are
	// refused. The descriptors from there on are for the store and for deliveries. nil: no limit.
	Descriptors func() int
	NodeID      string
	Keyring     *webhook.Keyring         // seals the secrets of endpoints
	TLS         *tls.Config              // nil: plain HTTP
	Drain       time.Duration            // how long Shutdown continues to serve
	Changeable  Changeable               // at first
	Reload      func() (Reloaded, error) // reads the configuration again
	Store       *wal.Store
	Writer      *wal.Writer
	Node        *cluster.Node
	Sender      Sender
	Tracer      Tracer      // nil: nothing is traced
	Failed      func() bool // reports whether the node can't go on and is about to end; nil: never
	Metrics     *prometheus.Registry
	Logger      *slog.Logger
}

// Server serves the API of a node: it listens, accepts requests and passes them to the handlers of
// routes.go.
type Server struct {
	config     Config
	live       atomic.Pointer[live]
	api        *door
	portal     *door        // nil: the API serves the portal, too
	metrics    *door        // nil: the API serves metrics, too
	open       *connections // on all addresses
	stopping   atomic.Bool
	closing    chan struct{} // closed when the listeners are about to be
	accepted   prometheus.Counter
	contention contention // see pprof.go

	respond   *responder
	access    *accessLog
	pages     *pageServer
	auth      *authenticator
	intake    *intake
	responses *shares
	tails     tailPlaces
	feeds     feeds
	pastReads *shares // of the history, by streams
	backlogs  *backlogs
	changes   turns // of one thing, or with tokens of one application
	reads     *readPaces
	audit     *audit
	refusals  *refusals
	limited   *prometheus.CounterVec // requests that were refused with 429
	kept      *keptResponses
	sealer    sealer
	tests     tests
	deadlines deadlines

	handshakes *handshakes
}

// NewServer listens, but does not serve yet.
func NewServer(config Config) (*Server, error) {
	closing := make(chan struct{})
	s := &Server{config: config, closing: closing, changes: turns{closing: closing}, reads: newReadPaces(processors, closing), open: newConnections(), limited: newLimitedRequests(), responses: newShares("responses", maxResponses),
		tails: tailPlaces{limit: config.Tails}, pastReads: newShares("streams that read the past", maxPastReads), backlogs: newBacklogs(config.Store),
		feeds: feeds{store: config.Store, lag: func() uint64 {
			status := config.Node.Status()
			return status.Commit - min(status.Commit, status.Applied)
		}},
		audit: newAudit(config.Logger, config.Metrics), kept: newKeptResponses(config.MaxSize),
		sealer: sealer{config.Keyring}, accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_messages_accepted_total", Help: "Messages that this node has answered with 202."})}
	s.respond = &responder{failed: config.Failed, log: config.Logger}
	s.access = newAccessLog(&config, &s.live)
	s.pages = &pageServer{respond: s.respond, live: &s.live, store: config.Store}
	s.auth = &authenticator{config: &s.config, live: &s.live}
	s.refusals = newRefusals(s.auth, closing)
	s.intake = newIntake(&s.config, s.auth, closing)
	s.handshakes = newHandshakes()
	s.Change(config.Changeable)
	if err := s.openDoors(); err != nil {
		for _, d := range s.doors() {
			err = errors.Join(err, d.gate.Close())
		}
		return nil, err
	}
	s.registerMetrics()
	return s, nil
}

// openDoors listens on all addresses of the configuration.
func (s *Server) openDoors() (err error) {
	if s.api, err = s.openDoor("API", s.config.Listen, maxConnections); err != nil {
		return err
	}
	s.api.router = s.routes().Handler
	if s.config.PortalListen != "" {
		if s.portal, err = s.openDoor("portal", s.config.PortalListen, maxPortalConnections); err != nil {
			return err
		}
		s.portal.router = s.portalRoutes().Handler
	}
	if s.config.MetricsListen != "" {
		if s.metrics, err = s.openDoor("metrics", s.config.MetricsListen, maxMetricsConnections); err != nil {
			return err
		}
		s.metrics.router = s.metricsRoutes().Handler
	}
	return nil
}

// doors returns those on which the server listens.
func (s *Server) doors() []*door {
	return slices.DeleteFunc([]*door{s.api, s.portal, s.metrics}, func(d *door) bool { return d == nil })
}

// Addr returns the address on which the server listens for the API.
func (s *Server) Addr() string { return s.api.addr() }

// PortalAddr returns the address of the portal's own listener, or "".
func (s *Server) PortalAddr() string { return s.portal.addr() }

// MetricsAddr returns the address of the metrics' own listener, or "".
func (s *Server) MetricsAddr() string { return s.metrics.addr() }

// Serve serves requests until Shutdown.
func (s *Server) Serve() {
	ctx, stop := context.WithCancel(context.Background())
	var recording, serving sync.WaitGroup
	recording.Go(func() { s.auth.recordUse(ctx, lastUseInterval) })
	results := make(map[*door]error)
	var mu sync.Mutex
	for _, d := range s.doors() {
		serving.Go(func() {
			err := d.http.Serve(d.listener)
			mu.Lock()
			defer mu.Unlock()
			results[d] = err
		})
	}
	serving.Wait()
	stop()
	recording.Wait()
	for d, err := range results {
		d.served <- err
	}
}

// Shutdown first moves clients to other nodes, for the time Drain: everything is still served, but
// the health check responds with 503, and each response closes its connection. Then it stops
// accepting requests, on all addresses, and waits for those under way.
func (s *Server) Shutdown() error {
	s.stopping.Store(true)
	time.Sleep(s.config.Drain)
	doors := s.doors()
	for _, d := range doors {
		d.gate.shut()
	}
	close(s.closing)
	var ending sync.WaitGroup
	errs := make([]error, len(doors))
	for i, d := range doors {
		ending.Go(func() { errs[i] = d.shutdown() })
	}
	ending.Wait()
	return errors.Join(errs...)
}

// closeIfStopping closes the connection after the response while the node is stopping, so that the
// client connects again, perhaps to another node.
func (s *Server) closeIfStopping(ctx *fasthttp.RequestCtx) {
	if s.stopping.Load() {
		ctx.SetConnectionClose()
	}
}

// serve handles a request.
func (s *Server) serve(ctx *fasthttp.RequestCtx, router fasthttp.RequestHandler) {
	begun := time.Now()
	defer s.refusals.delay(ctx) // which is recorded before
	defer func() { s.access.record(ctx, begun) }()
	s.setRequestID(ctx)
	cors := s.live.Load().cors
	mayRead := cors.allow(ctx)
	twice := errTwice(&ctx.Request.Header)
	switch {
	case !validVersion(&ctx.Request.Header):
		s.respond.writeError(ctx, &webhook.Error{Code: codeVersion, Detail: "This server speaks HTTP/1.1."})
		ctx.SetConnectionClose()
	case twice != nil:
		s.respond.writeError(ctx, twice)
	case cors.preflight(ctx, mayRead):
	case len(ctx.Request.Header.RequestURI()) > maxURI:
		s.respond.writeError(ctx, errURI)
	case ctx.QueryArgs().Len() > maxParameters:
		s.respond.writeError(ctx, errParameters)
	case !route(ctx.URI()):
		s.respond.notFound(ctx)
	default:
		router(ctx)
	}
	if len(ctx.Request.Header.Peek(cutHeader)) > 0 && !ctx.Response.ConnectionClose() {
		connOf(ctx.Conn()).unread.Store(true)
		ctx.SetConnectionClose()
	}
	s.closeIfStopping(ctx)
}

// refuse responds to a request that was not read to its end.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	defer s.refusals.delay(ctx)
	if requestID(ctx) == "" { // the request was not read as far as its headers
		s.setRequestID(ctx)
		begun := time.Now()
		defer func() { s.access.record(ctx, begun) }()
	}
	s.live.Load().cors.allowUnread(ctx)
	connOf(ctx.Conn()).unread.Store(true)
	s.respond.writeError(ctx, explainUnread(err))
	ctx.SetConnectionClose()
}

// serverLog logs what fasthttp reports, which is about broken connections. Its messages may repeat
// what the client has sent, so only the kind of an error is logged.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(_ string, args ...any) {
	var known *webhook.Error
	for _, arg := range args {
		if err, is := arg.(error); is && errors.As(explainUnread(err), &known) {
			l.log.Debug("a connection ended early", "component", "http", "reason", known.Detail)
		}
	}
}
