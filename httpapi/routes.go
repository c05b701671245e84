package httpapi

import (
	"slices"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hookwheel/httpapi/reference"
	"hookwheel/webhook"
)

// operation is one operation of the API.
type operation struct {
	method  string
	path    string // below /api/v1
	access  access // whose tokens it accepts
	perform handler
}

// operations are all operations that need a token. The OpenAPI document describes each.
var operations = []operation{
	// Applications.
	{"GET", "/app", mayRead, paged(listApplications)},
	{"POST", "/app", maySend, createApplication},
	{"GET", "/app/{app}", mayReadOwn, getApplication},
	{"PUT", "/app/{app}", mayManage, putApplication},
	{"PATCH", "/app/{app}", mayManage, patchApplication},
	{"DELETE", "/app/{app}", mayManage, deleteApplication},

	// Event types, which all applications share.
	{"GET", "/event-type", mayReadOwn, paged(listEventTypes)},
	{"POST", "/event-type", mayManage, createEventType},
	{"POST", "/event-type/import/openapi", mayManage, importEventTypes},
	{"GET", "/event-type/{event_type}", mayReadOwn, getEventType},
	{"PUT", "/event-type/{event_type}", mayManage, putEventType},
	{"PATCH", "/event-type/{event_type}", mayManage, patchEventType},
	{"DELETE", "/event-type/{event_type}", mayManage, deleteEventType},

	// Endpoints of an application: their settings, secrets and headers.
	{"GET", "/app/{app}/endpoint", mayReadOwn, paged(listEndpoints)},
	{"POST", "/app/{app}/endpoint", mayChangeOwn, createEndpoint},
	{"GET", "/app/{app}/endpoint/{endpoint}", mayReadOwn, getEndpoint},
	{"PUT", "/app/{app}/endpoint/{endpoint}", mayChangeOwn, putEndpoint},
	{"PATCH", "/app/{app}/endpoint/{endpoint}", mayChangeOwn, patchEndpoint},
	{"DELETE", "/app/{app}/endpoint/{endpoint}", mayChangeOwn, deleteEndpoint},
	{"GET", "/app/{app}/endpoint/{endpoint}/secret", maySeeSecret, getSecret},
	{"POST", "/app/{app}/endpoint/{endpoint}/secret/rotate", mayRotate, rotateSecret},
	{"GET", "/app/{app}/endpoint/{endpoint}/headers", mayReadOwn, getHeaders},
	{"PUT", "/app/{app}/endpoint/{endpoint}/headers", mayChangeOwn, putHeaders},
	{"PATCH", "/app/{app}/endpoint/{endpoint}/headers", mayChangeOwn, patchHeaders},

	// Control over the deliveries of an endpoint.
	{"POST", "/app/{app}/endpoint/{endpoint}/pause", mayChangeOwn, pauseEndpoint},
	{"POST", "/app/{app}/endpoint/{endpoint}/resume", mayChangeOwn, resumeEndpoint},
	{"POST", "/app/{app}/endpoint/{endpoint}/recover", mayAttempt, replay(webhook.TaskRecover, webhook.ReplayFailed)},
	{"POST", "/app/{app}/endpoint/{endpoint}/replay-missing", mayAttempt, replay(webhook.TaskReplayMissing, webhook.ReplayNeverAttempted)},
	{"POST", "/app/{app}/endpoint/{endpoint}/bulk-replay", mayAttempt, replay(webhook.TaskReplay, webhook.ReplayAll)},
	{"POST", "/app/{app}/endpoint/{endpoint}/send-example", mayAttempt, sendExample},
	{"POST", "/app/{app}/endpoint/{endpoint}/msg/test-attempt", mayAttempt, testEndpoint},
	{"POST", "/app/{app}/msg/test-attempt", mayChangeOwn, testDraft},

	// Messages: send, read, explain, send again, expunge.
	{"GET", "/app/{app}/msg", mayReadOwn, paged(listMessages)},
	{"POST", "/app/{app}/msg", maySend, createMessage},
	{"POST", "/app/{app}/msg/batch", maySend, createBatch},
	{"GET", "/app/{app}/msg/{msg}", mayReadOwn, getMessage},
	{"GET", "/app/{app}/msg/{msg}/explain", mayReadOwn, paged(explainMessage)},
	{"DELETE", "/app/{app}/msg/{msg}/content", mayManage, expungeMessage},
	{"POST", "/app/{app}/msg/{msg}/endpoint/{endpoint}/resend", mayAttempt, resendMessage},

	// What was attempted, by message and by endpoint.
	{"GET", "/app/{app}/attempt", mayReadOwn, paged(listAttemptsByApplication)},
	{"GET", "/app/{app}/attempt/msg/{msg}", mayReadOwn, paged(listAttemptsByMessage)},
	{"GET", "/app/{app}/attempt/endpoint/{endpoint}", mayReadOwn, paged(listAttemptsByEndpoint)},
	{"GET", "/app/{app}/msg/{msg}/attempt", mayReadOwn, paged(listAttemptsByMessage)},
	{"GET", "/app/{app}/msg/{msg}/attempt/{attempt}", mayReadOwn, getAttempt},
	{"GET", "/app/{app}/msg/{msg}/attempt/{attempt}/headers", mayReadOwn, getAttemptHeaders},
	{"DELETE", "/app/{app}/msg/{msg}/attempt/{attempt}/content", mayManage, expungeAttempt},
	{"GET", "/app/{app}/msg/{msg}/endpoint/{endpoint}/attempt", mayReadOwn, paged(listAttemptsByMessage)},
	{"GET", "/app/{app}/msg/{msg}/endpoint", mayReadOwn, paged(listDestinations)},
	{"GET", "/app/{app}/endpoint/{endpoint}/msg", mayReadOwn, paged(listAttemptedMessages)},
	{"GET", "/app/{app}/endpoint/{endpoint}/stats", mayReadOwn, getStats},

	// Endpoints of all applications.
	{"GET", "/endpoint", mayRead, paged(listByState)},

	// Attempts over time, for charts.
	{"GET", "/stats/attempt", mayRead, paged(getAllSeries)},
	{"GET", "/stats/app/attempt", mayRead, paged(getApplicationStrips)},
	{"GET", "/stats/app/{app}/attempt", mayReadOwn, paged(getApplicationSeries)},
	{"GET", "/stats/app/{app}/endpoint/attempt", mayReadOwn, paged(getEndpointStrips)},
	{"GET", "/stats/app/{app}/endpoint/{endpoint}/attempt", mayReadOwn, paged(getEndpointSeries)},
	{"GET", "/stats/app/{app}/ep/{endpoint}/attempt", mayReadOwn, paged(getEndpointSeries)}, // as Svix calls it

	// Background tasks, which replays create.
	{"GET", "/background-task", mayReadOwn, paged(listTasks)},
	{"GET", "/background-task/{task}", mayReadOwn, getTask},
	{"POST", "/background-task/{task}/pause", mayAttempt, changeTask(webhook.TaskPaused)},
	{"POST", "/background-task/{task}/resume", mayAttempt, changeTask(webhook.TaskRunning)},
	{"POST", "/background-task/{task}/cancel", mayAttempt, changeTask(webhook.TaskCanceled)},

	// Attempts and changes of state as they happen.
	{"GET", "/tail", mayReadOwn, streamEvents},

	// Endpoints that receive events about Hookwheel itself.
	{"GET", "/operational-webhook/endpoint", mayRead, paged(listOperational)},
	{"POST", "/operational-webhook/endpoint", mayManage, operationalCreated(createEndpoint)},
	{"GET", "/operational-webhook/endpoint/{endpoint}", mayRead, operational(getEndpoint)},
	{"PUT", "/operational-webhook/endpoint/{endpoint}", mayManage, operationalCreated(putEndpoint)},
	{"DELETE", "/operational-webhook/endpoint/{endpoint}", mayManage, operational(deleteEndpoint)},
	{"GET", "/operational-webhook/endpoint/{endpoint}/secret", mayManage, operational(getSecret)},
	{"POST", "/operational-webhook/endpoint/{endpoint}/secret/rotate", mayManage, operational(rotateSecret)},
	{"GET", "/operational-webhook/endpoint/{endpoint}/headers", mayRead, operational(getHeaders)},
	{"PUT", "/operational-webhook/endpoint/{endpoint}/headers", mayManage, operational(putHeaders)},

	// Tokens: portals of applications, and API keys.
	{"POST", "/auth/app-portal-access/{app}", mayManage, portalAccess},
	{"POST", "/auth/dashboard-access/{app}", mayManage, portalAccess},
	{"POST", "/auth/app/{app}/expire-all", mayManage, expireAll},
	{"GET", "/auth/app/{app}/token", mayManage, paged(listTokens)},
	{"POST", "/auth/logout", anyRole, logout},
	{"GET", "/auth/whoami", anyRole, whoami},
	{"GET", "/key", mayManage, paged(listKeys)},
	{"POST", "/key", mayManage, createKey},
	{"GET", "/key/{key}", mayManage, getKey},
	{"DELETE", "/key/{key}", mayManage, revokeKey},

	// What the pages that customers see look like, and what customers should know.
	{"GET", "/environment/settings", anyRole, getSettings},
	{"PUT", "/environment/settings", mayManage, putSettings},

	// Who changed what.
	{"GET", "/audit", mayRead, paged(listAudit)},

	// The cluster and its secrets and state.
	{"GET", "/cluster", mayRead, getCluster},
	{"GET", "/cluster/configuration", mayRead, getConfiguration},
	{"POST", "/cluster/configuration/reload", mayManage, reloadConfiguration},
	{"POST", "/cluster/members", mayManage, addMember},
	{"DELETE", "/cluster/members/{node}", mayManage, removeMember},
	{"POST", "/cluster/fingerprint", mayManage, requestFingerprint},
	{"POST", "/cluster/transfer", mayManage, transferLeadership},
	{"POST", "/cluster/rewrap", mayManage, rewrapSecrets},
	{"GET", "/cluster/backup", mayManage, getBackup},
}

// newRouter returns a router without routes.
func (s *Server) newRouter() *router.Router {
	r := router.New()
	// For log messages: the path itself could contain anything that a client has sent.
	r.SaveMatchedRoutePath = true
	r.RedirectTrailingSlash, r.RedirectFixedPath, r.HandleOPTIONS = false, false, false
	r.NotFound = s.respond.notFound
	r.MethodNotAllowed = s.respond.methodNotAllowed
	return r
}

// routes returns the routes of the API's address: all except those with an address of their own.
func (s *Server) routes() *router.Router {
	r := s.newRouter()
	if s.config.MetricsListen == "" {
		s.routeMetrics(r)
	} else {
		r.GET("/", redirect("/portal"))
	}
	s.routePages(r)
	r.GET("/console", s.pages.getConsole)
	r.GET("/console/{path:*}", s.pages.getConsole)
	if s.config.Pprof {
		r.GET("/debug/pprof/{profile}", s.forRole(mayManage, s.getProfile))
	}
	api := r.Group("/api/v1")
	api.GET("/openapi.json", s.public(getOpenAPI))
	api.GET("/health", s.public(getHealth))
	api.HEAD("/health", s.public(getHealth))
	api.GET("/health/ping", s.public(ping))
	api.HEAD("/health/ping", s.public(ping))
	api.POST("/health/ping", s.public(ping)) // also a receiver for first experiments
	for _, o := range operations {
		api.Handle(o.method, o.path, s.authorized(o.access, everybody, o.perform))
	}
	return r
}

// portalRoutes are those of the portal's own address, which everybody may reach: its page, and what
// tokens of applications may do. A token that may do more has no use there, in case it is stolen.
func (s *Server) portalRoutes() *router.Router {
	r := s.newRouter()
	r.GET("/", redirect("/portal"))
	s.routePages(r)
	api := r.Group("/api/v1")
	api.GET("/health", s.public(getPortalHealth))
	api.HEAD("/health", s.public(getPortalHealth))
	for _, o := range operations {
		if slices.Contains(o.access.roles, webhook.RoleApplication) {
			api.Handle(o.method, o.path, s.authorized(o.access, onlyCustomers, o.perform))
		}
	}
	return r
}

// routePages adds the portal, all of whose paths are the same page, and the files of the pages.
func (s *Server) routePages(r *router.Router) {
	r.GET("/portal", s.pages.getPortal)
	r.GET("/portal/{path:*}", s.pages.getPortal)
	r.GET("/assets/{name}", s.pages.getAsset)
}

// metricsRoutes are those of the metrics' own address.
func (s *Server) metricsRoutes() *router.Router {
	r := s.newRouter()
	s.routeMetrics(r)
	return r
}

// routeMetrics adds what operators want to see, but not everybody.
func (s *Server) routeMetrics(r *router.Router) {
	r.GET("/", redirect("/docs"))
	r.GET("/docs", s.pages.getDocs)
	if s.config.MetricsToken {
		r.GET("/metrics", s.forRole(mayRead, s.getMetrics))
	} else {
		r.GET("/metrics", s.getMetrics)
	}
}

// redirect names the path only: behind a proxy the client knows us by another scheme, and perhaps
// by another host.
func redirect(path string) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set(fasthttp.HeaderLocation, path)
		ctx.SetStatusCode(fasthttp.StatusTemporaryRedirect)
	}
}

// forRole serves callers whose token has access.
func (s *Server) forRole(needed access, serve fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		r := &request{server: s, http: ctx}
		if err := r.admit(needed, everybody); err != nil {
			s.respond.writeError(ctx, err)
			return
		}
		serve(ctx)
	}
}

// public serves an operation that needs no token.
func (s *Server) public(h handler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { s.perform(&request{server: s, http: ctx}, h) }
}

// authorized serves an operation for callers whose token has access, and a role that is accepted at
// this address. Only their bodies are read.
func (s *Server) authorized(needed access, here []webhook.Role, h handler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		r := &request{server: s, http: ctx}
		if err := r.admit(needed, here); err != nil {
			s.respond.writeError(ctx, err)
			return
		}
		connection := connOf(ctx.Conn())
		body, err := s.intake.receive(ctx, ownerOf(r.caller))
		if err != nil {
			s.refuse(ctx, err)
			return
		}
		if body != nil {
			defer body.end()
		}
		if !connection.begin() {
			_ = connection.Close() // at once, lest an empty response be sent
			return
		}
		endTurn, err := r.awaitTurn(needed)
		if err != nil {
			s.respond.writeError(ctx, err)
			return
		}
		defer endTurn()
		s.perform(r, h)
	}
}

// admit authorizes the caller, counts the request among those of its token, and charges the
// connection to it.
func (r *request) admit(needed access, here []webhook.Role) error {
	if err := r.authorize(needed, here); err != nil {
		return err
	}
	if err := r.server.live.Load().rates.admit(r.caller, r.isRead(), r.server.closing); err != nil {
		return err
	}
	connOf(r.http.Conn()).setCaller(ownerOf(r.caller))
	return nil
}

// perform runs a handler and writes what it returns.
func (s *Server) perform(r *request, h handler) {
	resp, err := r.once().perform(h)
	if err != nil {
		s.respond.writeError(r.http, err)
		return
	}
	s.respond.write(r.http, resp)
	if resp.loan != nil {
		resp.loan.end()
	}
}

func getOpenAPI(*request) (*response, error) {
	document, err := reference.Document()
	if err != nil {
		return nil, err
	}
	return ok(rawJSON(document)), nil
}
