package httpapi

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/pprofhandler"

	"hookwheel/webhook"
)

// How long a profile takes, in seconds.
const (
	maxProfile        = 60
	contentionProfile = 10 // mutex and block, unless the caller says otherwise
)

// What mutex and block record: of the times that something waited for a lock, one in mutexFraction;
// of the time that goroutines were blocked, about once in each blockRate.
const (
	mutexFraction = 100
	blockRate     = 100 * time.Millisecond
)

// contention has the runtime record waits for as long as somebody wants to see them. It costs each
// event several microseconds.
type contention struct {
	mu     sync.Mutex
	wanted int // by so many requests
}

func (c *contention) want(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted += by; c.wanted > 0 {
		runtime.SetMutexProfileFraction(mutexFraction)
		runtime.SetBlockProfileRate(int(blockRate))
	} else {
		runtime.SetMutexProfileFraction(0)
		runtime.SetBlockProfileRate(0)
	}
}

// profiles are those of net/http/pprof, except the command line, which may have a token, and the
// trace, which has no bound.
var profiles = []string{"profile", "heap", "allocs", "goroutine", "mutex", "block", "threadcreate"}

// getProfile serves /debug/pprof.
func (s *Server) getProfile(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("profile").(string)
	if !slices.Contains(profiles, name) {
		s.respond.notFound(ctx)
		return
	}
	args := ctx.QueryArgs()
	if seconds, err := args.GetUint("seconds"); args.Has("seconds") && (err != nil || seconds < 1 || seconds > maxProfile) {
		s.respond.writeError(ctx, invalidQuery{webhook.Invalid("seconds", "must be a whole number from 1 to 60")})
		return
	}
	if name == "mutex" || name == "block" {
		if !args.Has("seconds") {
			args.SetUint("seconds", contentionProfile)
		}
		s.contention.want(1)
		defer s.contention.want(-1)
	}
	pprofhandler.PprofHandler(ctx)
}
