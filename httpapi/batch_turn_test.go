package httpapi

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

// Long bodies take turns; a short one does not wait for them.
func TestLongBodiesTakeTurns(t *testing.T) { synctest.Test(t, testLongBodiesTakeTurns) }

func testLongBodiesTakeTurns(t *testing.T) {
	s := new(Server)
	split := func(body string) (done chan struct{}) {
		done = make(chan struct{})
		go func() {
			defer close(done)
			r := &request{server: s, http: new(fasthttp.RequestCtx)}
			r.http.Request.SetBodyString(body)
			if items, err := r.split(); err != nil || len(items) != 1 {
				t.Errorf("%d items: %v", len(items), err)
			}
		}()
		synctest.Wait()
		return done
	}
	isDone := func(done chan struct{}) bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	end, err := s.changes.take(t.Context(), longTurn, 1)
	if err != nil {
		t.Fatal(err)
	}
	long, short := split("["+strings.Repeat(" ", longBody)+"{}]"), split("[{}]")
	if isDone(long) || !isDone(short) {
		t.Errorf("while a long body has its turn, another is done: %t, a short one: %t", isDone(long), isDone(short))
	}
	end()
	<-long
	time.Sleep(time.Minute)
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if len(s.changes.by) > 0 {
		t.Errorf("%d turns have not ended", len(s.changes.by))
	}
}
