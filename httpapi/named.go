package httpapi

import "hookwheel/webhook"

// named finds what the path of a request names, or its query, among what the caller may see.
type named struct{ request *request }

func (r *request) named() named { return named{r} }

// application returns the application that the path names.
func (n named) application() (*webhook.Application, error) {
	if err := n.request.current(); err != nil {
		return nil, err
	}
	return n.request.store().Application(n.request.path("app"))
}

// applicationByName returns an application for an operation that asks the leader anyway. Only if
// this node has not heard of it, because it may be new, the leader is asked before.
func (n named) applicationByName(name string) (*webhook.Application, error) {
	if app, err := n.request.store().Application(name); err == nil {
		return app, nil
	}
	if err := n.request.current(); err != nil {
		return nil, err
	}
	return n.request.store().Application(name)
}

// endpoint returns the endpoint that the path names.
func (n named) endpoint() (*webhook.Endpoint, error) {
	app, err := n.application()
	if err != nil {
		return nil, err
	}
	return n.request.store().Endpoint(app.ID, n.request.path("endpoint"))
}

// scope returns the application and the endpoint that the query names; zero means all. With a token
// of an application, that application is the only one.
func (n named) scope() (app, endpoint webhook.ID, err error) {
	q := n.request.query()
	if app, err = n.namedApplication(q.text("app")); err != nil {
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
	e, err := n.request.store().Endpoint(app, name)
	if err != nil {
		return app, endpoint, err
	}
	return app, e.ID, nil
}

// namedApplication returns the application with that name, or zero for all that the caller may see.
func (n named) namedApplication(name string) (webhook.ID, error) {
	switch {
	case n.request.byCustomer() && name == "":
		return n.request.caller.App, nil
	case n.request.byCustomer():
		own, err := n.request.server.auth.ownApplication(n.request.caller, name)
		if err != nil {
			return webhook.ID{}, err
		}
		return own.ID, nil
	case name == "":
		return webhook.ID{}, nil
	}
	app, err := n.request.store().Application(name)
	if err != nil {
		return webhook.ID{}, err
	}
	return app.ID, nil
}

// message returns the message that the path names.
func (n named) message() (*webhook.Message, error) {
	app, err := n.application()
	if err != nil {
		return nil, err
	}
	return n.request.store().Message(app.ID, n.request.path("msg"))
}

// attempt returns the attempt that the path names, and its message.
func (n named) attempt() (*webhook.Message, *webhook.Attempt, error) {
	m, err := n.message()
	if err != nil {
		return nil, nil, err
	}
	id, err := webhook.ParseID(webhook.KindAttempt, n.request.path("attempt"))
	if err != nil {
		return nil, nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Attempt not found"}
	}
	a, err := n.request.store().Attempts().ByID(m.ID, id)
	return m, a, err
}

// eventType returns the event type that the path names.
func (n named) eventType() (*webhook.EventType, error) {
	if err := n.request.current(); err != nil {
		return nil, err
	}
	return n.visibleEventType(n.request.path("event_type"))
}

// visibleEventType returns an event type unless the caller lacks its feature flag.
func (n named) visibleEventType(name string) (*webhook.EventType, error) {
	t, err := n.request.store().EventType(name)
	if err == nil && !n.request.canSee(t) {
		return nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Event type not found"}
	}
	return t, err
}

// task returns the background task that the path names.
func (n named) task() (*webhook.Task, error) {
	if err := n.request.current(); err != nil {
		return nil, err
	}
	id, err := webhook.ParseID(webhook.KindTask, n.request.path("task"))
	if err != nil {
		return nil, errNoTask
	}
	t, err := n.request.store().Task(id)
	if err == nil && n.request.byCustomer() && n.request.caller.App != t.App {
		return nil, errNoTask
	}
	return t, err
}
