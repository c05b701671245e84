package httpapi

import (
	"runtime"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"

	"hookwheel/webhook"
)

// maxProfile is how long a CPU profile may take, in seconds.
const maxProfile = 60

// What mutex and block record: of the times that something waited for a lock, one in mutexFraction;
// of the time that goroutines were blocked, about once in each blockRate. Without them the two
// profiles are empty.
const (
	mutexFraction = 100
	blockRate     = 100 * time.Millisecond
)

// recordContention makes the runtime record what the profiles mutex and block show.
func recordContention() {
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(int(blockRate))
}

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
