package httpapi

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// TestChangesTakeTurns: of many changes of one thing that come at once each is made once, and not
// again and again until it happens to be the one that wins.
func TestChangesTakeTurns(t *testing.T) { synctest.Test(t, testChangesTakeTurns) }

func testChangesTakeTurns(t *testing.T) {
	const requests = 64
	s := new(Server)
	var revision, tries atomic.Int64
	var all sync.WaitGroup
	for range requests {
		all.Go(func() {
			r := &request{server: s, http: new(fasthttp.RequestCtx)}
			r.setApplication("acme")
			r.http.SetUserValue("endpoint", "main")
			_, err := update(r, func() (*webhook.Endpoint, error) {
				tries.Add(1)
				before := revision.Load()
				time.Sleep(time.Millisecond) // as for the log
				if !revision.CompareAndSwap(before, before+1) {
					return nil, &webhook.Error{Code: webhook.CodeChanged}
				}
				return new(webhook.Endpoint), nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := tries.Load(); got != requests || revision.Load() != requests {
		t.Errorf("%d tries for %d changes, %d made", got, requests, revision.Load())
	}
	if len(s.changes.by) > 0 {
		t.Errorf("%d names are still known", len(s.changes.by))
	}
}

// TestCustomerTurns: the tokens of an application have some changes under way at a time, which are
// nothing to another application, to reading, and to other tokens.
func TestCustomerTurns(t *testing.T) {
	s := &Server{reads: newReadPaces(2, nil)}
	await := func(method string, caller *webhook.APIKey) (end func(), err error) {
		r := &request{server: s, http: new(fasthttp.RequestCtx), caller: caller}
		r.http.Request.Header.SetMethod(method)
		return r.awaitTurn(mayReadOwn)
	}
	first := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{1}}
	second := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{2}}
	var ends []func()
	for range ownChanges {
		end, err := await("PATCH", first)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	hold, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.changes.take(hold, "customer/"+string(first.App[:]), ownChanges)
	var refused *webhook.Error
	if !errors.As(err, &refused) || refused.Code != codeTooMany {
		t.Fatalf("one more: %v", err)
	}
	for _, free := range []struct {
		key    *webhook.APIKey
		method string
	}{{second, "POST"}, {first, "GET"}, {root, "DELETE"}} {
		end, err := await(free.method, free.key)
		if err != nil {
			t.Fatal(err)
		}
		end()
	}
	ends[0]()
	if ends[0], err = await("POST", first); err != nil {
		t.Fatal(err)
	}
	for _, end := range ends {
		end()
	}
	if len(s.changes.by) > 0 {
		t.Errorf("%d names are still known", len(s.changes.by))
	}
}

// TestCustomerReadsTakeTurns: the tokens of an application have some reads under way at a time,
// and a bounded number wait for theirs.
func TestCustomerReadsTakeTurns(t *testing.T) {
	s := &Server{reads: newReadPaces(2, nil)}
	first := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{1}}
	second := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{2}}
	await := func(method string, caller *webhook.APIKey) (end func(), err error) {
		r := &request{server: s, http: new(fasthttp.RequestCtx), caller: caller}
		r.http.Request.Header.SetMethod(method)
		return r.awaitTurn(mayReadOwn)
	}
	var reading, most atomic.Int64
	hold := make(chan struct{})
	var all sync.WaitGroup
	for range ownReads + maxWaiting {
		all.Go(func() {
			end, err := await("GET", first)
			if err != nil {
				t.Error(err)
				return
			}
			defer end()
			if now := reading.Add(1); now > most.Load() {
				most.Store(now)
			}
			<-hold
			reading.Add(-1)
		})
	}
	wait.For(t, "all turns to be taken", func() bool {
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		users := 0
		for _, at := range s.changes.by {
			users += at.users
		}
		return users >= ownReads+maxWaiting
	})
	var refused *webhook.Error
	if _, err := await("HEAD", first); !errors.As(err, &refused) || refused.Code != codeTooMany {
		t.Errorf("one more: %v", err)
	}
	for _, free := range []struct {
		key    *webhook.APIKey
		method string
	}{{second, "GET"}, {first, "POST"}, {root, "GET"}} {
		end, err := await(free.method, free.key)
		if err != nil {
			t.Fatal(err)
		}
		end()
	}
	close(hold)
	all.Wait()
	if most.Load() > ownReads {
		t.Errorf("%d reads were under way", most.Load())
	}
	if len(s.changes.by) > 0 {
		t.Errorf("%d names are still known", len(s.changes.by))
	}
}

// TestTurnsEndWithServer: requests that wait for a turn don't hold up the end of the server.
func TestTurnsEndWithServer(t *testing.T) {
	closing := make(chan struct{})
	s := &Server{changes: turns{closing: closing}, reads: newReadPaces(2, nil), closing: closing}
	key := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{1}}
	await := func() (end func(), err error) {
		r := &request{server: s, http: new(fasthttp.RequestCtx), caller: key}
		r.http.Request.Header.SetMethod("GET")
		return r.awaitTurn(mayReadOwn)
	}
	for range ownReads {
		end, err := await()
		if err != nil {
			t.Fatal(err)
		}
		defer end()
	}
	close(closing)
	if _, err := await(); webhook.ErrorCode(err) != webhook.CodeUnavailable {
		t.Errorf("a read that waits when the server stops: %v", err)
	}
}

// TestOperatorTurns: operators have some changes of one application under way at a time, which are
// nothing to events and to another application.
func TestOperatorTurns(t *testing.T) {
	s := new(Server)
	await := func(needed access, app string) (end func(), err error) {
		r := &request{server: s, http: new(fasthttp.RequestCtx), caller: &webhook.APIKey{Role: webhook.RoleAdmin}}
		r.http.Request.Header.SetMethod("DELETE")
		r.http.SetUserValue("app", app)
		return r.awaitTurn(needed)
	}
	var ends []func()
	for range operatorChanges {
		end, err := await(mayReadOwn, "a")
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	for _, other := range []struct {
		needed access
		app    string
	}{{maySend, "a"}, {mayReadOwn, "b"}, {mayReadOwn, ""}} {
		end, err := await(other.needed, other.app)
		if err != nil {
			t.Fatal(err)
		}
		end()
	}
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		end, err := await(mayReadOwn, "a")
		if err != nil {
			t.Error(err)
			return
		}
		end()
	}()
	wait.For(t, "one more waits", func() bool {
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		return s.changes.by["operator/a"].users == operatorChanges+1
	})
	select {
	case <-waited:
		t.Error("it did not wait")
	default:
	}
	for _, end := range ends {
		end()
	}
	<-waited
}
