package httpapi

import (
	"context"
	"fmt"
	"sync"

	"hookwheel/webhook"
)

// ownChanges is how many changes the tokens of one application may have under way on a node.
const ownChanges = 4

// turns lets requests that would disturb each other wait for one another. Without them the changes of one thing that come at
// the same time would be proposed again and again, as only one of them is made from its latest state; and a customer with many
// changes at a time could fill the log's whole bandwidth.
type turns struct {
	mu sync.Mutex
	by map[string]*turn
}

type turn struct {
	places chan struct{}
	users  int // that have a place or wait for one
}

// take waits for one of the places under a name, of which there are that many. The caller must call end.
func (t *turns) take(ctx context.Context, name string, places int) (end func(), err error) {
	at := t.join(name, places)
	select {
	case at.places <- struct{}{}:
		return func() {
			<-at.places
			t.leave(name)
		}, nil
	case <-ctx.Done():
		t.leave(name)
		return nil, errNoTurn
	}
}

var errNoTurn = &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("Too many changes of the same thing, or with tokens of the same application, "+
	"are under way: this one has waited for %s and did not take effect. Make fewer at a time.", holdTimeout)}

func (t *turns) join(name string, places int) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = make(map[string]*turn)
	}
	at := t.by[name]
	if at == nil {
		at = &turn{places: make(chan struct{}, places)}
		t.by[name] = at
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
