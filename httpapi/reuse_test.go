package httpapi

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// Responses whose memory is used again are not mixed up, and large ones are not kept.
func TestMessageBodies(t *testing.T) {
	w := new(responder)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 200 {
				payload := fmt.Appendf(nil, `{"worker":%d,"pad":"%s"}`, worker, bytes.Repeat([]byte{'x'}, i*worker*20))
				m := &webhook.Message{EventType: "a", Payload: payload}
				ctx := new(fasthttp.RequestCtx)
				w.write(ctx, accepted(newMessageBody(m, i%2 == 0)))
				want := appendMessageOut(nil, m, i%2 == 0)
				if got := ctx.Response.Body(); !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, want %d", len(got), len(want))
				}
			}
		})
	}
	all.Wait()
}

// A deadline is shared for a moment only, and no request has less time than it should.
func TestDeadlinesAreShared(t *testing.T) {
	var d deadlines
	begin := time.Now()
	first := d.context(begin)
	if d.context(begin.Add(deadlineStep-1)) != first {
		t.Error("requests of the same moment have different contexts")
	}
	for _, now := range []time.Time{begin, begin.Add(deadlineStep), begin.Add(3*deadlineStep - 1)} {
		ends, _ := d.context(now).Deadline()
		if left := ends.Sub(now); left < leaderTimeout || left > leaderTimeout+deadlineStep {
			t.Errorf("%v after the first: %v are left", now.Sub(begin), left)
		}
	}
	d.cancel()
}
