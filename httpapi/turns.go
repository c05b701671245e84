package httpapi

import (
	"context"
	"fmt"
	"sync"

	"hookwheel/webhook"
)

// How many requests with tokens of an application may be under way on a node, how many changes of
// one application by others, and how many requests may wait for a turn under one name.
const (
	ownChanges      = 4
	ownReads        = 4
	operatorChanges = 8
	maxWaiting      = 256
)

// turns makes requests wait for each other. Concurrent changes of one thing would be proposed again
// and again, as only one of them begins with the latest state; and a customer with many concurrent
// changes could take the whole bandwidth of the log. Reads are limited separately: to count the
// backlog of an endpoint takes milliseconds, and a customer with many could take all processors.
type turns struct {
	closing <-chan struct{} // closed when nobody waits any longer, as the server is shutting down

	mu sync.Mutex
	by map[string]*turn
}

type turn struct {
	places chan struct{}
	users  int // requests that have a turn or wait for it
}

// take waits until fewer than limit requests have a turn under that name. The caller must call end.
func (t *turns) take(ctx context.Context, name string, limit int) (end func(), err error) {
	at := t.join(name, limit)
	if at == nil {
		return nil, errManyWait
	}
	if err := at.await(ctx, t.closing); err != nil {
		t.leave(name)
		return nil, err
	}
	return func() {
		<-at.places
		t.leave(name)
	}, nil
}

// await waits for a place, unless one is free.
func (t *turn) await(ctx context.Context, closing <-chan struct{}) error {
	select {
	case t.places <- struct{}{}:
		return nil
	default:
	}
	select {
	case t.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errNoTurn
	case <-closing:
		return errStopping
	}
}

const tooManyOfOne = "Too many changes of the same thing, or requests with tokens of the same application, are under way: "

var (
	errNoTurn = &webhook.Error{Code: codeTooMany, Detail: tooManyOfOne + fmt.Sprintf(
		"this one has waited for %s and did not take effect. Make fewer at a time, or read less with each.", leaderTimeout)}
	errManyWait = &webhook.Error{Code: codeTooMany, Detail: tooManyOfOne + fmt.Sprintf(
		"%d wait already, and this one did not take effect. Make fewer at a time.", maxWaiting)}
	errStopping = &webhook.Error{Code: webhook.CodeUnavailable,
		Detail: "This node is stopping, and this request, which waited for others, did not take effect. Try again, at another node."}
)

// join returns nil if too many wait already.
func (t *turns) join(name string, limit int) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[string]*turn)
	}
	at := t.by[name]
	if at == nil {
		at = &turn{places: make(chan struct{}, limit)}
		t.by[name] = at
	}
	if at.users >= limit+maxWaiting {
		return nil
	}
	at.users++
	return at
}

func (t *turns) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[name].users--; t.by[name].users == 0 {
		delete(t.by, name)
	}
}

// awaitTurn waits until the tokens of the caller's application have few enough changes, or reads,
// under way; or an operator few enough changes of the application in question. The caller must call
// end.
func (r *request) awaitTurn(needed access) (end func(), err error) {
	if r.isRead() {
		return r.awaitRead()
	}
	name, limit := "customer/"+string(r.caller.App[:]), ownChanges
	if !r.byCustomer() {
		name, limit = "operator/"+r.path("app"), operatorChanges
		if needed.isForProducers() || r.path("app") == "" { // events have turns in the log
			return func() {}, nil
		}
	}
	ctx, cancel := leaderContext()
	defer cancel()
	return r.server.changes.take(ctx, name, limit)
}

// awaitRead waits for a turn to read, and paces what is read from then on. A change that reads much
// waits for one, too; a read never waits for a change.
func (r *request) awaitRead() (end func(), err error) {
	if !r.byCustomer() {
		return func() {}, nil
	}
	ctx, cancel := leaderContext()
	defer cancel()
	endTurn, err := r.server.changes.take(ctx, "reader/"+string(r.caller.App[:]), ownReads)
	if err != nil {
		return nil, err
	}
	r.paced = r.server.reads.begin(r.caller.App)
	return func() {
		r.paced.end(max(0, bodySize(&r.http.Response, string(r.http.Method()))))
		endTurn()
	}, nil
}
