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

	"github.com/fasthttp/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"hookwheel/cluster"
	"hookwheel/httpapi/reference"
	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	holdTimeout     = 10 * time.Second // how long a request is held while there is no leader
	readTimeout     = 30 * time.Second // for a whole request to arrive
	writeTimeout    = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 10 * time.Second
	shutTime        = 20 * time.Millisecond  // for taking the connections that clients have made when the listener closes
	lingerTime      = 100 * time.Millisecond // for requests that were sent by then on connections that seem idle
	silentTime      = 2 * time.Second        // for a client to say something on a connection that is open when a shutdown begins
	acceptPause     = 50 * time.Millisecond  // after a failure to accept
)

// Config says how this node speaks HTTP.
type Config struct {
	Listen    string // host:port; port 0 picks a free one
	Token     string // the bearer token of the root admin
	JWTSecret string // signs JWTs; empty: none are taken
	PortalURL string // where the portal is; empty: at /portal here
	MaxBody   int    // bytes
	// No connection is taken that would get a file descriptor of this number or a higher one; 0: any is taken. The
	// descriptors above are for the store and for deliveries.
	Descriptors int
	NodeID      string
	Keyring     *webhook.Keyring // seals the secrets of endpoints
	TLS         *tls.Config      // nil: plain HTTP
	Drain       time.Duration    // how long Shutdown goes on serving
	Manual      int              // messages that the portals of an application may have sent by hand in a minute; 0: any number
	Store       *wal.Store
	Writer      *wal.Writer
	Node        *cluster.Node
	Failed      func() bool // whether the node can't go on, and is about to end; nil: never
	Metrics     *prometheus.Registry
	Logger      *slog.Logger
}

// Server is the HTTP side of a node.
type Server struct {
	config   Config
	gate     *gate
	listener net.Listener // the gate, in TLS if there is any
	http     *fasthttp.Server
	router   fasthttp.RequestHandler
	accepted prometheus.Counter
	served   chan error
	stopping atomic.Bool
	bodies   *shares
	answers  *shares
	tails    tailPlaces
	changes  turns // of one thing, or with tokens of one application
	audit    *audit
	lastUse  lastUse
	manual   *manualSends
	kept     *keptResponses
}

// handler answers one operation.
type handler func(ctx *fasthttp.RequestCtx) (answer, error)

// NewServer listens, but does not serve yet.
func NewServer(config Config) (*Server, error) {
	gate, err := openGate(config.Listen, config.Descriptors, config.Logger)
	if err != nil {
		return nil, fmt.Errorf("listening for the API: %w", err)
	}
	s := &Server{config: config, gate: gate, listener: gate, served: make(chan error, 1), manual: newManualSends(config.Manual), kept: newKeptResponses(),
		bodies: newShares("request bodies", maxBodies), answers: newShares("responses", maxAnswers), audit: newAudit(config.Logger, config.Metrics),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_accepted_total", Help: "Messages that this node has answered with 202."})}
	if config.TLS != nil {
		s.listener = tls.NewListener(gate, config.TLS)
	}
	s.warnPlain()
	config.Metrics.MustRegister(&backlogCollector{store: config.Store}, s.accepted, gate.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hookwheel_expired", Help: "Messages that left the log before they were delivered or given up, over all endpoints that there are; the same on every node."},
		func() float64 { return float64(config.Store.Expired()) }))
	s.router = s.routes().Handler
	s.http = &fasthttp.Server{
		Handler:                      s.serve,
		HeaderReceived:               s.received,
		StreamRequestBody:            true, // a handler says who may have a body read, and receive reads it
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

// warnPlain says that tokens can be read on the way, if they can.
func (s *Server) warnPlain() {
	address, is := s.gate.Addr().(*net.TCPAddr)
	if s.config.TLS == nil && is && !address.IP.IsLoopback() {
		s.config.Logger.Warn("the API listens without TLS on an address that others can reach: whoever is on the way can read tokens. "+
			"Set api.tls, or put a proxy with TLS in front and listen on 127.0.0.1", "listen", address.String())
	}
}

// Addr is where it listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers requests until Shutdown.
func (s *Server) Serve() {
	ctx, stop := context.WithCancel(context.Background())
	var recording sync.WaitGroup
	recording.Go(func() { s.recordUse(ctx, lastUseInterval) })
	err := s.http.Serve(s.listener)
	stop()
	recording.Wait()
	s.served <- err
}

// Shutdown first has clients go elsewhere, for the time Drain: everything is still served, but the health check answers 503,
// and each answer ends its connection. Then it takes no more requests and waits for those under way. Every request that was
// sent before the listener closed is answered.
func (s *Server) Shutdown() error {
	s.stopping.Store(true)
	time.Sleep(s.config.Drain)
	s.gate.shut()
	err := <-s.served
	s.linger()
	return errors.Join(err, s.shutdown())
}

// linger gives requests that are on their way on idle connections the time to arrive: fasthttp closes those unread.
func (s *Server) linger() {
	for end := time.Now().Add(lingerTime); time.Now().Before(end); time.Sleep(lingerTime / 20) {
		if s.http.GetOpenConnectionsCount() < 0 { // it takes the listener, which is closed, for one of them
			return
		}
	}
}

// shutdown has fasthttp close idle connections and wait for the others. fasthttp goes by the wall clock: a connection that fell idle
// while that was ahead never counts as idle, nor does one at once that is new. So silent ones are closed here as well.
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

// part has a client connect anew for its next request while the node is stopping; perhaps it then comes to another one.
func (s *Server) part(ctx *fasthttp.RequestCtx) {
	if s.stopping.Load() {
		ctx.SetConnectionClose()
	}
}

func (s *Server) routes() *router.Router {
	r := router.New()
	r.SaveMatchedRoutePath = true // for errors: what a client puts into a path does not get into the log
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	r.NotFound = s.notFound
	r.MethodNotAllowed = func(ctx *fasthttp.RequestCtx) {
		s.write(ctx, answer{fasthttp.StatusMethodNotAllowed, &webhook.Error{Code: "method_not_allowed",
			Detail: "This path does not answer " + string(ctx.Method()) + "; the Allow header says what it does."}})
	}
	api := r.Group("/api/v1")
	r.GET("/", func(ctx *fasthttp.RequestCtx) { ctx.Redirect("/docs", fasthttp.StatusTemporaryRedirect) })
	r.GET("/docs", s.getDocs)
	api.GET("/openapi.json", s.plain(s.getOpenAPI))
	api.GET("/health", s.plain(s.health))
	api.HEAD("/health", s.plain(s.health))
	api.GET("/health/ping", s.plain(s.ping))
	api.HEAD("/health/ping", s.plain(s.ping))
	api.POST("/health/ping", s.plain(s.ping)) // a receiver to try things out with
	api.GET("/app", s.allow(toRead, s.paged(s.listApplications)))
	api.POST("/app", s.allow(toSend, s.createApplication))
	api.GET("/app/{app}", s.allow(toReadOwn, s.getApplication))
	api.PUT("/app/{app}", s.allow(toManage, s.putApplication))
	api.PATCH("/app/{app}", s.allow(toManage, s.patchApplication))
	api.DELETE("/app/{app}", s.allow(toManage, s.deleteApplication))
	api.GET("/event-type", s.allow(toReadOwn, s.paged(s.listEventTypes)))
	api.POST("/event-type", s.allow(toManage, s.createEventType))
	api.GET("/event-type/{event_type}", s.allow(toReadOwn, s.getEventType))
	api.PUT("/event-type/{event_type}", s.allow(toManage, s.putEventType))
	api.PATCH("/event-type/{event_type}", s.allow(toManage, s.patchEventType))
	api.DELETE("/event-type/{event_type}", s.allow(toManage, s.deleteEventType))
	api.GET("/app/{app}/endpoint", s.allow(toReadOwn, s.paged(s.listEndpoints)))
	api.POST("/app/{app}/endpoint", s.allow(toChangeOwn, s.createEndpoint))
	api.GET("/app/{app}/endpoint/{endpoint}", s.allow(toReadOwn, s.getEndpoint))
	api.PUT("/app/{app}/endpoint/{endpoint}", s.allow(toChangeOwn, s.putEndpoint))
	api.PATCH("/app/{app}/endpoint/{endpoint}", s.allow(toChangeOwn, s.patchEndpoint))
	api.DELETE("/app/{app}/endpoint/{endpoint}", s.allow(toChangeOwn, s.deleteEndpoint))
	api.GET("/app/{app}/endpoint/{endpoint}/secret", s.allow(toChangeOwn, s.getSecret))
	api.POST("/app/{app}/endpoint/{endpoint}/secret/rotate", s.allow(toChangeOwn, s.rotateSecret))
	api.GET("/app/{app}/endpoint/{endpoint}/headers", s.allow(toReadOwn, s.getHeaders))
	api.PUT("/app/{app}/endpoint/{endpoint}/headers", s.allow(toChangeOwn, s.putHeaders))
	api.PATCH("/app/{app}/endpoint/{endpoint}/headers", s.allow(toChangeOwn, s.patchHeaders))
	api.POST("/app/{app}/endpoint/{endpoint}/pause", s.allow(toChangeOwn, s.pauseEndpoint))
	api.POST("/app/{app}/endpoint/{endpoint}/resume", s.allow(toChangeOwn, s.resumeEndpoint))
	api.POST("/app/{app}/endpoint/{endpoint}/recover", s.allow(toChangeOwn, s.replay(webhook.TaskRecover, webhook.ReplayFailed)))
	api.POST("/app/{app}/endpoint/{endpoint}/replay-missing", s.allow(toChangeOwn, s.replay(webhook.TaskReplayMissing, webhook.ReplayNeverAttempted)))
	api.POST("/app/{app}/endpoint/{endpoint}/bulk-replay", s.allow(toChangeOwn, s.replay(webhook.TaskReplay, webhook.ReplayAll)))
	api.GET("/background-task", s.allow(toReadOwn, s.paged(s.listTasks)))
	api.GET("/background-task/{task}", s.allow(toReadOwn, s.getTask))
	api.POST("/background-task/{task}/pause", s.allow(toChangeOwn, s.changeTask(webhook.TaskPaused)))
	api.POST("/background-task/{task}/resume", s.allow(toChangeOwn, s.changeTask(webhook.TaskRunning)))
	api.POST("/background-task/{task}/cancel", s.allow(toChangeOwn, s.changeTask(webhook.TaskCanceled)))
	api.GET("/app/{app}/msg", s.allow(toReadOwn, s.paged(s.listMessages)))
	api.POST("/app/{app}/msg", s.allow(toSend, s.createMessage))
	api.GET("/app/{app}/msg/{msg}", s.allow(toReadOwn, s.getMessage))
	api.GET("/app/{app}/msg/{msg}/explain", s.allow(toReadOwn, s.paged(s.explain)))
	api.DELETE("/app/{app}/msg/{msg}/content", s.allow(toManage, s.expungeMessage))
	api.GET("/app/{app}/attempt/msg/{msg}", s.allow(toReadOwn, s.paged(s.listAttemptsByMessage)))
	api.GET("/app/{app}/attempt/endpoint/{endpoint}", s.allow(toReadOwn, s.paged(s.listAttemptsByEndpoint)))
	api.GET("/app/{app}/msg/{msg}/attempt", s.allow(toReadOwn, s.paged(s.listAttemptsByMessage)))
	api.GET("/app/{app}/msg/{msg}/attempt/{attempt}", s.allow(toReadOwn, s.getAttempt))
	api.DELETE("/app/{app}/msg/{msg}/attempt/{attempt}/content", s.allow(toManage, s.expungeAttempt))
	api.GET("/app/{app}/msg/{msg}/endpoint/{endpoint}/attempt", s.allow(toReadOwn, s.paged(s.listAttemptsByMessage)))
	api.GET("/app/{app}/msg/{msg}/endpoint", s.allow(toReadOwn, s.paged(s.listDestinations)))
	api.POST("/app/{app}/msg/{msg}/endpoint/{endpoint}/resend", s.allow(toChangeOwn, s.resend))
	api.GET("/app/{app}/endpoint/{endpoint}/msg", s.allow(toReadOwn, s.paged(s.listAttemptedMessages)))
	api.GET("/app/{app}/endpoint/{endpoint}/stats", s.allow(toReadOwn, s.getStats))
	api.POST("/app/{app}/endpoint/{endpoint}/send-example", s.allow(toChangeOwn, s.sendExample))
	api.GET("/operational-webhook/endpoint", s.allow(toRead, s.paged(s.listOperational)))
	api.POST("/operational-webhook/endpoint", s.allow(toManage, s.operationalMade(s.createEndpoint)))
	api.GET("/operational-webhook/endpoint/{endpoint}", s.allow(toRead, s.operational(s.getEndpoint)))
	api.PUT("/operational-webhook/endpoint/{endpoint}", s.allow(toManage, s.operationalMade(s.putEndpoint)))
	api.DELETE("/operational-webhook/endpoint/{endpoint}", s.allow(toManage, s.operational(s.deleteEndpoint)))
	api.GET("/operational-webhook/endpoint/{endpoint}/secret", s.allow(toManage, s.operational(s.getSecret)))
	api.POST("/operational-webhook/endpoint/{endpoint}/secret/rotate", s.allow(toManage, s.operational(s.rotateSecret)))
	api.GET("/operational-webhook/endpoint/{endpoint}/headers", s.allow(toRead, s.operational(s.getHeaders)))
	api.PUT("/operational-webhook/endpoint/{endpoint}/headers", s.allow(toManage, s.operational(s.putHeaders)))
	api.POST("/auth/app-portal-access/{app}", s.allow(toManage, s.portalAccess))
	api.POST("/auth/dashboard-access/{app}", s.allow(toManage, s.portalAccess))
	api.POST("/auth/app/{app}/expire-all", s.allow(toManage, s.expireAll))
	api.POST("/auth/logout", s.allow(toAnyone, s.logout))
	api.GET("/auth/whoami", s.allow(toAnyone, s.whoami))
	api.GET("/key", s.allow(toManage, s.paged(s.listKeys)))
	api.POST("/key", s.allow(toManage, s.createKey))
	api.GET("/key/{key}", s.allow(toManage, s.getKey))
	api.DELETE("/key/{key}", s.allow(toManage, s.revokeKey))
	api.GET("/tail", s.allow(toReadOwn, s.tail))
	api.GET("/cluster", s.allow(toRead, s.getCluster))
	api.POST("/cluster/members", s.allow(toManage, s.addMember))
	api.DELETE("/cluster/members/{node}", s.allow(toManage, s.removeMember))
	api.POST("/cluster/fingerprint", s.allow(toManage, s.askFingerprint))
	api.POST("/cluster/transfer", s.allow(toManage, s.transferLeadership))
	api.POST("/cluster/rewrap", s.allow(toManage, s.rewrap))
	api.GET("/cluster/backup", s.allow(toManage, s.getBackup))
	r.GET("/portal", getPortal)
	r.GET("/metrics", s.getMetrics)
	return r
}

func (s *Server) notFound(ctx *fasthttp.RequestCtx) {
	s.writeError(ctx, &webhook.Error{Code: webhook.CodeNotFound, Detail: "There is no operation at this path."})
}

func (s *Server) getOpenAPI(*fasthttp.RequestCtx) (answer, error) {
	document, err := reference.Document()
	return answer{fasthttp.StatusOK, rawJSON(document)}, err
}

func (s *Server) getDocs(ctx *fasthttp.RequestCtx) {
	page, err := reference.Page()
	if err != nil {
		s.writeError(ctx, err)
		return
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	ctx.Response.SetBodyRaw(page) // shared by all responses
}

// plain turns a handler into HTTP.
func (s *Server) plain(h handler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		a, err := s.answerOnce(ctx, h)
		if err != nil {
			s.writeError(ctx, err)
			return
		}
		s.write(ctx, a)
		endLoan(ctx)
	}
}

// current waits until this node's store has all that was acknowledged anywhere before the call.
func (s *Server) current() error {
	hold, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	return s.config.Node.Barrier(hold)
}

// health tells whether this node can serve, which takes a leader, and goes on to.
func (s *Server) health(*fasthttp.RequestCtx) (answer, error) {
	status := s.config.Node.Status()
	free, _ := s.config.Store.Free()
	health := struct {
		Status      string `json:"status"` // ok, full (no new messages), no leader, stopping
		Node        string `json:"node"`
		State       string `json:"state"`
		Leader      string `json:"leader"`
		Term        uint64 `json:"term"`
		CommitIndex uint64 `json:"commitIndex"`
		Applied     uint64 `json:"appliedIndex"`
		FreeBytes   int64  `json:"freeBytes"`
		StoreBytes  int64  `json:"storeBytes"`
		DataBytes   int64  `json:"dataBytes"`
		Full        string `json:"full,omitempty"` // why it takes no new messages
	}{"ok", status.ID, status.State, status.LeaderID, status.Term, status.Commit, status.Applied, free, s.config.Store.Size(), s.config.Store.Used(), s.config.Store.Full()}
	switch {
	case s.stopping.Load():
		health.Status = "stopping"
		return answer{fasthttp.StatusServiceUnavailable, health}, nil
	case status.LeaderID == "":
		health.Status = "no leader"
		return answer{fasthttp.StatusServiceUnavailable, health}, nil
	case health.Full != "":
		health.Status = "full"
	}
	return answer{fasthttp.StatusOK, health}, nil
}

// ping tells whether this process answers at all.
func (s *Server) ping(*fasthttp.RequestCtx) (answer, error) {
	return answer{status: fasthttp.StatusNoContent}, nil
}

// serverLog passes on what fasthttp has to say, which is about broken connections. Its words may repeat what the client has
// sent, so only the kind of an error is logged.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(_ string, args ...any) {
	var known *webhook.Error
	for _, arg := range args {
		if err, is := arg.(error); is && errors.As(explainUnread(err), &known) {
			l.log.Debug("a connection ended early", "component", "http", "reason", known.Detail)
		}
	}
}
