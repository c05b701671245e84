package httpapi

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/valyala/fasthttp"
)

// While a node is failing, what goes wrong is for another node to do; else it is an error of this
// one.
func TestFailingNodeSendsElsewhere(t *testing.T) {
	for failed, want := range map[bool]int{false: fasthttp.StatusInternalServerError, true: fasthttp.StatusServiceUnavailable} {
		w := &responder{failed: func() bool { return failed }, log: slog.New(slog.DiscardHandler)}
		ctx := new(fasthttp.RequestCtx)
		w.writeError(ctx, errors.New("input/output error"))
		if got := ctx.Response.StatusCode(); got != want || failed != (len(ctx.Response.Header.Peek("Retry-After")) > 0) {
			t.Errorf("failing %v: answered %d", failed, got)
		}
	}
}
