package httpapi

import (
	"slices"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"

	"hookwheel/webhook"
)

// maxProfile is how long a CPU profile may take, in seconds.
const maxProfile = 60

// profiles are those of net/http/pprof, except the command line, which may have a token, and the
// trace, which has no bound.
var profiles = []string{"profile", "heap", "allocs", "goroutine", "mutex", "block", "threadcreate"}

// getProfile serves /debug/pprof.
func (s *Server) getProfile(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("profile").(string)
	if !slices.Contains(profiles, name) {
		s.notFound(ctx)
		return
	}
	args := ctx.QueryArgs()
	if seconds, err := args.GetUint("seconds"); args.Has("seconds") && (err != nil || seconds < 1 || seconds > maxProfile) {
		s.writeError(ctx, invalidQuery{webhook.Invalid("seconds", "must be a whole number from 1 to 60")})
		return
	}
	pprofhandler.PprofHandler(ctx)
}
