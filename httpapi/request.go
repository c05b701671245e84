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
	key      *wal.Once  // see once
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
		if key := r.once().key(); key != nil {
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

// canSee reports whether the caller may see an event type, which a feature flag may hide.
func (r *request) canSee(t *webhook.EventType) bool {
	return !r.byCustomer() || t.VisibleTo(r.caller.FeatureFlags)
}

// audit records a security event that the caller has caused; attributes are IDs only, for slog.
func (r *request) audit(event string, attributes ...any) {
	r.server.audit.note(r.caller, r.http.RemoteIP(), event, append(attributes, "requestId", requestID(r.http))...)
}
