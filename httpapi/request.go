package httpapi

import (
	"context"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// handler performs one operation. It either returns a response or an error.
type handler func(r *request) (*response, error)

// request is one request to the API. It is valid until its handler returns.
type request struct {
	server *Server
	http   *fasthttp.RequestCtx
	caller *webhook.APIKey // nil if the operation needs no token

	changes context.Context // see context

	paced    *pacedRead // nil: the request may read at any pace
	key      *wal.Once  // see idempotencyKey
	keyKnown bool
}

func (r *request) store() *wal.Reader { return r.paced.store(r.server.config.Store) }

// writer returns the writer whose changes are recorded as those of the caller.
func (r *request) writer() *wal.Writer {
	return r.server.config.Writer.By(actorOf(r.caller))
}

func actorOf(caller *webhook.APIKey) webhook.Actor {
	if caller == root {
		return webhook.Actor{Type: webhook.ActorConfiguration, Role: root.Role}
	}
	return caller.Actor()
}

// callerWriter returns the writer that checks changes against the feature flags of the caller.
func (r *request) callerWriter() *wal.Writer {
	if r.byCustomer() {
		return r.writer().Portal(r.caller.FeatureFlags)
	}
	return r.writer()
}

// byCustomer reports whether the caller uses a token of an application.
func (r *request) byCustomer() bool { return r.caller.Role == webhook.RoleApplication }

// isRead reports whether the request changes nothing.
func (r *request) isRead() bool { return r.http.IsGet() || r.http.IsHead() }

// leaderContext returns a context for work that needs a leader: a cluster without one may elect one
// within that time.
func leaderContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), leaderTimeout)
}

// context bounds the changes that the request makes; its time begins with the first call. If the
// request has an idempotency key then what is proposed with this context takes effect once.
func (r *request) context() context.Context {
	if r.changes == nil {
		r.changes = r.server.deadlines.context(time.Now())
		if key := r.idempotencyKey(); key != nil {
			r.changes = key.Context(r.changes)
		}
	}
	return r.changes
}

// deadlines provides contexts that end leaderTimeout later. Requests that begin at almost the same
// time share one, because a timer for each takes more CPU than everything else about a deadline.
type deadlines struct {
	mu     sync.Mutex
	newest context.Context
	cancel context.CancelFunc // of newest, which ends by itself
	until  time.Time          // when the next one begins
}

const deadlineStep = leaderTimeout / 100

func (d *deadlines) context(now time.Time) context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !now.Before(d.until) {
		d.until = now.Add(deadlineStep)
		d.newest, d.cancel = context.WithDeadline(context.Background(), d.until.Add(leaderTimeout))
	}
	return d.newest
}

// current waits until this node's store has everything that any node had acknowledged before the
// call.
func (r *request) current() error {
	defer r.paced.rest()()
	return r.server.auth.current()
}

// body returns the body of the request, whose bytes may be used until the handler returns.
func (r *request) body() []byte { return r.http.PostBody() }

func (r *request) query() query { return query{args: r.http.QueryArgs(), paced: r.paced} }

// path returns a parameter of the path, or "".
func (r *request) path(name string) string {
	value, _ := r.http.UserValue(name).(string)
	return value
}

// setApplication replaces the application that the path names.
func (r *request) setApplication(name string) { r.http.SetUserValue("app", name) }

// application returns the application that the path names.
func (r *request) application() (*webhook.Application, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	return r.store().Application(r.path("app"))
}

// applicationByName returns an application for an operation that asks the leader anyway. Only if
// this node has not heard of it, because it may be new, the leader is asked before.
func (r *request) applicationByName(name string) (*webhook.Application, error) {
	if app, err := r.store().Application(name); err == nil {
		return app, nil
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	return r.store().Application(name)
}

// endpoint returns the endpoint that the path names.
func (r *request) endpoint() (*webhook.Endpoint, error) {
	app, err := r.application()
	if err != nil {
		return nil, err
	}
	return r.store().Endpoint(app.ID, r.path("endpoint"))
}

// scope returns the application and the endpoint that the query names; zero means all. With a token
// of an application, that application is the only one.
func (r *request) scope() (app, endpoint webhook.ID, err error) {
	q := r.query()
	if app, err = r.namedApplication(q.text("app")); err != nil {
		return app, endpoint, err
	}
	name := q.text("endpoint")
	switch {
	case name == "":
		return app, endpoint, nil
	case app.IsZero():
		q.fail("endpoint", "needs an application: name it with app")
		return app, endpoint, q.err
	}
	e, err := r.store().Endpoint(app, name)
	if err != nil {
		return app, endpoint, err
	}
	return app, e.ID, nil
}

// namedApplication returns the application with that name, or zero for all that the caller may see.
func (r *request) namedApplication(name string) (webhook.ID, error) {
	switch {
	case r.byCustomer() && name == "":
		return r.caller.App, nil
	case r.byCustomer():
		own, err := r.server.auth.ownApplication(r.caller, name)
		if err != nil {
			return webhook.ID{}, err
		}
		return own.ID, nil
	case name == "":
		return webhook.ID{}, nil
	}
	app, err := r.store().Application(name)
	if err != nil {
		return webhook.ID{}, err
	}
	return app.ID, nil
}

// message returns the message that the path names.
func (r *request) message() (*webhook.Message, error) {
	app, err := r.application()
	if err != nil {
		return nil, err
	}
	return r.store().Message(app.ID, r.path("msg"))
}

// attempt returns the attempt that the path names, and its message.
func (r *request) attempt() (*webhook.Message, *webhook.Attempt, error) {
	m, err := r.message()
	if err != nil {
		return nil, nil, err
	}
	id, err := webhook.ParseID(webhook.KindAttempt, r.path("attempt"))
	if err != nil {
		return nil, nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Attempt not found"}
	}
	a, err := r.store().Attempts().ByID(m.ID, id)
	return m, a, err
}

// eventType returns the event type that the path names.
func (r *request) eventType() (*webhook.EventType, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	return r.visibleEventType(r.path("event_type"))
}

// visibleEventType returns an event type unless the caller lacks its feature flag.
func (r *request) visibleEventType(name string) (*webhook.EventType, error) {
	t, err := r.store().EventType(name)
	if err == nil && !r.canSee(t) {
		return nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Event type not found"}
	}
	return t, err
}

func (r *request) canSee(t *webhook.EventType) bool {
	return !r.byCustomer() || t.VisibleTo(r.caller.FeatureFlags)
}

// task returns the background task that the path names.
func (r *request) task() (*webhook.Task, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	id, err := webhook.ParseID(webhook.KindTask, r.path("task"))
	if err != nil {
		return nil, errNoTask
	}
	t, err := r.store().Task(id)
	if err == nil && r.byCustomer() && r.caller.App != t.App {
		return nil, errNoTask
	}
	return t, err
}

// audit records a security event that the caller has caused; attributes are IDs only, for slog.
func (r *request) audit(event string, attributes ...any) {
	r.server.audit.note(r.caller, r.http.RemoteIP(), event, append(attributes, "requestId", requestID(r.http))...)
}
