package httpapi

import (
	"fmt"
	"sync"

	"hookwheel/webhook"
)

// tailPlaces limits the streams of this node: for each application, and for all of them together,
// so that there is room for operators.
type tailPlaces struct {
	limit int // of all

	mu           sync.Mutex
	all          int
	applications int
	by           map[owner]int
}

// customers is how many streams may have tokens of applications.
func (t *tailPlaces) customers() int { return t.limit - t.limit/4 }

// own is how many streams may have tokens of one application.
func (t *tailPlaces) own() int { return max(4, t.limit/64) }

const raiseTails = "have api.tails raised in the configuration"

func (t *tailPlaces) enter(client owner) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case client.application && t.by[client] >= t.own():
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("This node serves %d streams of this application, which is the limit. End one of them, or "+
			raiseTails+", which is %d.", t.own(), t.limit)}
	case client.application && t.applications >= t.customers():
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams of applications already. Ask another node, or later, or "+
			raiseTails+", which is %d.", t.customers(), t.limit)}
	case t.all >= t.limit:
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams already. Ask another node, or later, or "+
			raiseTails+".", t.limit)}
	}
	t.add(client, 1)
	return nil
}

func (t *tailPlaces) leave(client owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(client, -1)
}

func (t *tailPlaces) add(client owner, n int) {
	if t.by == nil {
		t.by = make(map[owner]int)
	}
	t.all += n
	if client.application {
		t.applications += n
	}
	if t.by[client] += n; t.by[client] == 0 {
		delete(t.by, client)
	}
}
