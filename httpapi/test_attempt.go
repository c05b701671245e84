package httpapi

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"hookwheel/webhook"
)

// How many tests a node makes at a time, for each application and in all.
const (
	ownTests = 2
	maxTests = 16
)

var (
	errOwnTests = &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf(
		"%d test attempts of this application are under way on this node, which is the limit. Wait for their responses.", ownTests)}
	errTests = &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf(
		"%d test attempts are under way on this node, which is the limit. Try again in a moment.", maxTests)}
)

// tests counts the test attempts under way.
type tests struct {
	mu  sync.Mutex
	all int
	of  map[webhook.ID]int
}

// begin counts a test of an application. The caller must call end.
func (t *tests) begin(app webhook.ID) (end func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.of[app] >= ownTests:
		return nil, errOwnTests
	case t.all >= maxTests:
		return nil, errTests
	}
	if t.of == nil {
		t.of = make(map[webhook.ID]int)
	}
	t.all++
	t.of[app]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.all--
		if t.of[app]--; t.of[app] == 0 {
			delete(t.of, app)
		}
	}, nil
}

// testEndpoint makes a test attempt at an endpoint as it is.
func testEndpoint(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	return testAttempt(r, endpoint)
}

// testDraft makes a test attempt at an endpoint that does not exist yet.
func testDraft(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	draft, err := draftEndpoint(r, app.ID)
	if err != nil {
		return nil, err
	}
	draft.ID = temporaryID()
	return testAttempt(r, draft)
}

// temporaryID returns an ID of something that is not kept.
func temporaryID() webhook.ID {
	return webhook.NewID(time.Now().UnixMilli(), 0, rand.Uint32N(webhook.MaxPlace))
}

// testAttempt sends an example to an endpoint and responds with the attempt, which is not kept. Any
// node makes it.
func testAttempt(r *request, endpoint *webhook.Endpoint) (*response, error) {
	name, index, err := parseTest(r.body())
	if err != nil {
		return nil, err
	}
	m := &webhook.Message{ID: temporaryID(), App: endpoint.App, EventType: name, Only: endpoint.ID}
	if m.Payload, err = example(r, name, index); err != nil {
		return nil, err
	}
	if err := r.admitManual(1, time.Now()); err != nil {
		return nil, err
	}
	end, err := r.server.tests.begin(endpoint.App)
	if err != nil {
		return nil, err
	}
	defer end()
	a := r.server.config.Sender.Test(endpoint, m)
	a.ID, a.Endpoint = temporaryID(), endpoint.ID
	out := showAttempt(&a, true, r.byCustomer())
	if out.Headers, err = r.showHeaders(endpoint, m, &a); err != nil {
		return nil, err
	}
	return r.once().answer(out)
}

// parseTest is parseExample for a body that may be empty or lack the event type.
func parseTest(text []byte) (name string, index int64, err error) {
	if len(text) == 0 {
		return pingType, 0, nil
	}
	return parseExample(text, pingType)
}
