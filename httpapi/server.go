package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	silentTime      = 2 * time.Second        // for a first request on connections that are open when a shutdown begins
	acceptPause     = 50 * time.Millisecond  // after a failure to accept
)

// Config configures a Server.
type Config struct {
	Listen    string   // host:port; port 0 picks a free one
	Token     string   // the bearer token of the root admin
	JWTSecret string   // signs JWTs; empty: JWTs are refused
	PortalURL string   // of the portal; empty: /portal of this server
	CORS      []string // origins whose pages may use the API; "*": all
	MaxBody   int      // bytes
	// Connections whose file descriptor would be this number or higher are refused; 0: no limit.
	// The descriptors from there on are for the store and for deliveries.
	Descriptors int
	NodeID      string
	Keyring     *webhook.Keyring // seals the secrets of endpoints
	TLS         *tls.Config      // nil: plain HTTP
	Drain       time.Duration    // how long Shutdown continues to serve
	Manual      int              // manual sends per minute by the portals of an application; 0: no limit
	Store       *wal.Store
	Writer      *wal.Writer
	Node        *cluster.Node
	Failed      func() bool // reports whether the node can't go on and is about to end; nil: never
	Metrics     *prometheus.Registry
	Logger      *slog.Logger
}

// Server serves the API of a node: it listens, accepts requests and passes them to the handlers of
// routes.go.
type Server struct {
	config   Config
	gate     *gate
	listener net.Listener // the gate, or TLS on top of it
	http     *fasthttp.Server
	router   fasthttp.RequestHandler
	cors     cors
	served   chan error
	stopping atomic.Bool
	accepted prometheus.Counter

	auth      *authenticator
	intake    *intake
	responses *shares
	tails     tailPlaces
	changes   turns // of one thing, or with tokens of one application
	audit     *audit
	manual    *manualSends
	kept      *keptResponses
	sealer    sealer
}

// NewServer listens, but does not serve yet.
func NewServer(config Config) (*Server, error) {
	gate, err := openGate(config.Listen, config.Descriptors, config.Logger)
	if err != nil {
		return nil, fmt.Errorf("listening for the API: %w", err)
	}
	auth := &authenticator{config: &config}
	s := &Server{config: config, gate: gate, listener: gate, served: make(chan error, 1),
		cors: newCORS(config.CORS), auth: auth, intake: newIntake(config.MaxBody, auth), responses: newShares("responses", maxResponses),
		audit: newAudit(config.Logger, config.Metrics), manual: newManualSends(config.Manual), kept: newKeptResponses(),
		sealer: sealer{config.Keyring}, accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_accepted_total", Help: "Messages that this node has answered with 202."})}
	if config.TLS != nil {
		s.listener = tls.NewListener(gate, config.TLS)
	}
	s.warnPlain()
	s.registerMetrics()
	s.router = s.routes().Handler
	s.http = &fasthttp.Server{
		Handler:                      s.serve,
		HeaderReceived:               s.intake.received,
		StreamRequestBody:            true, // so that the body is read only for callers who may send one
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 s.refuse,
		Name:                         "Hookwheel",
		Concurrency:                  maxConnections + closingConnections,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxRequestBodySize:           config.MaxBody,
		ReadBufferSize:               maxHeader,
		CloseOnShutdown:              true,
		NoDefaultContentType:         true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		Logger:                       serverLog{config.Logger},
	}
	return s, nil
}

// warnPlain logs a warning if tokens can be read on the network.
func (s *Server) warnPlain() {
	address, is := s.gate.Addr().(*net.TCPAddr)
	if s.config.TLS == nil && is && !address.IP.IsLoopback() {
		s.config.Logger.Warn("the API listens without TLS on an address that others can reach: whoever is on the way can read tokens. "+
			"Set api.tls, or put a proxy with TLS in front and listen on 127.0.0.1", "listen", address.String())
	}
}

// Addr returns the address on which the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve serves requests until Shutdown.
func (s *Server) Serve() {
	ctx, stop := context.WithCancel(context.Background())
	var recording sync.WaitGroup
	recording.Go(func() { s.auth.recordUse(ctx, lastUseInterval) })
	err := s.http.Serve(s.listener)
	stop()
	recording.Wait()
	s.served <- err
}

// Shutdown first moves clients to other nodes, for the time Drain: everything is still served, but
// the health check responds with 503, and each response closes its connection. Then it stops
// accepting requests and waits for those under way. Every request that was sent before the listener
// closed gets a response.
func (s *Server) Shutdown() error {
	s.stopping.Store(true)
	time.Sleep(s.config.Drain)
	s.gate.shut()
	err := <-s.served
	s.linger()
	return errors.Join(err, s.shutdown())
}

// linger waits for requests that are under way on idle connections, which fasthttp would close
// unread.
func (s *Server) linger() {
	for end := time.Now().Add(lingerTime); time.Now().Before(end); time.Sleep(lingerTime / 20) {
		if s.http.GetOpenConnectionsCount() < 0 { // it counts the closed listener as one of them
			return
		}
	}
}

// shutdown has fasthttp close idle connections and wait for the others. fasthttp goes by the wall
// clock: a connection that fell idle while that was ahead never counts as idle, nor does one at
// once that is new. So silent ones are closed here as well.
func (s *Server) shutdown() error {
	begin := time.Since(started)
	silent := time.AfterFunc(silentTime, func() { s.gate.open.closeSilent(begin) })
	defer silent.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := s.http.ShutdownWithContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("some requests were still under way after %s", shutdownTimeout)
	}
	return err
}

// closeIfStopping closes the connection after the response while the node is stopping, so that the
// client connects again, perhaps to another node.
func (s *Server) closeIfStopping(ctx *fasthttp.RequestCtx) {
	if s.stopping.Load() {
		ctx.SetConnectionClose()
	}
}

// serve handles a request.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	mayRead := s.cors.allow(ctx)
	switch {
	case !validVersion(&ctx.Request.Header):
		s.writeError(ctx, &webhook.Error{Code: codeVersion, Detail: "This server speaks HTTP/1.1."})
		ctx.SetConnectionClose()
	case s.cors.preflight(ctx, mayRead):
	case len(ctx.Request.Header.RequestURI()) > maxURI:
		s.writeError(ctx, errURI)
	case ctx.QueryArgs().Len() > maxParameters:
		s.writeError(ctx, errParameters)
	case !route(ctx.URI()):
		s.notFound(ctx)
	default:
		s.router(ctx)
	}
	if len(ctx.Request.Header.Peek(cutHeader)) > 0 && !ctx.Response.ConnectionClose() {
		drain(ctx.Conn())
		ctx.SetConnectionClose()
	}
	s.closeIfStopping(ctx)
}

// refuse responds to a request that was not read to its end.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	s.cors.allowUnread(ctx)
	drain(ctx.Conn())
	s.writeError(ctx, explainUnread(err))
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
