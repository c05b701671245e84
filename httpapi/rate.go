package httpapi

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/webhook"
)

// codeRate is the code of a request that exceeds a rate limit.
const codeRate webhook.Code = "rate_limited"

// rateRetryAfter is how many seconds such a client should wait.
const rateRetryAfter = "1"

// changeCost is how many requests a change of a customer counts as: all nodes make it.
const changeCost = 5

const (
	ratePatience = leaderTimeout // for which the request of a customer waits until it may be made
	ratePause    = time.Second   // before one is refused, lest clients do nothing but ask again
)

// rateLimit limits the requests per second of each key, or of each application, on this node. After
// a while without any, as many may be made at once.
type rateLimit struct {
	perSecond int // 0: no limit
	buckets
	patience time.Duration // for which a request waits until it may be made
	pause    time.Duration // before one is refused
	refusal  error
	refused  prometheus.Counter
}

func newRateLimit(perSecond int, refusal string, refused prometheus.Counter) *rateLimit {
	return &rateLimit{perSecond: perSecond, buckets: newBuckets(60*float64(perSecond), float64(perSecond)), refused: refused,
		refusal: &webhook.Error{Code: codeRate, Detail: fmt.Sprintf(refusal, perSecond)}}
}

// admit counts a request and waits until it may be made, or refuses it.
func (l *rateLimit) admit(who webhook.ID, count float64, closing <-chan struct{}) error {
	if l.perSecond == 0 {
		return nil
	}
	wait, admitted := l.reserve(who, count, time.Now(), l.patience)
	if !admitted {
		l.refused.Inc()
		wait = l.pause
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-closing:
			return errStopping
		}
	}
	if !admitted {
		return l.refusal
	}
	return nil
}

// charge counts requests that were made already. They may be more than are left, which later
// requests make up for.
func (l *rateLimit) charge(who webhook.ID, count int, now time.Time) {
	if l.perSecond > 0 {
		l.spend(who, float64(count), now)
	}
}

// rateLimits are those of all kinds of tokens.
type rateLimits struct {
	keys, customers *rateLimit
}

// newLimitedRequests returns the counter of requests that rateLimits refuse.
func newLimitedRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookwheel_rate_limited_requests_total",
		Help: "Requests that this node has refused with 429 because a key, or the tokens of an application, made too many of them, by the kind of token."}, []string{"token"})
}

func newRateLimits(c *Changeable, refused *prometheus.CounterVec) *rateLimits {
	l := &rateLimits{
		keys: newRateLimit(c.KeyRequests, "This key has made more than the %d requests per second that one may make on this node; "+
			"limits.key_requests in the configuration changes that.", refused.WithLabelValues("key")),
		customers: newRateLimit(c.PortalRequests, "Tokens of this application make more than the %d requests per second that they may make on this node together, "+
			fmt.Sprintf("and those that wait for their turn would take longer than %s. Make fewer, or have limits.portal_requests raised in the configuration.", ratePatience),
			refused.WithLabelValues("application"))}
	l.customers.patience, l.customers.pause = ratePatience, ratePause
	return l
}

// admit counts a request and waits until it may be made, or refuses it.
func (l *rateLimits) admit(caller *webhook.APIKey, isRead bool, closing <-chan struct{}) error {
	limit, who := l.of(caller)
	switch {
	case limit == nil:
		return nil
	case limit == l.customers && !isRead:
		return limit.admit(who, changeCost, closing)
	default:
		return limit.admit(who, 1, closing)
	}
}

// charge counts requests that one request of a caller is worth, in addition to itself.
func (l *rateLimits) charge(caller *webhook.APIKey, count int, now time.Time) {
	if limit, who := l.of(caller); limit != nil {
		limit.charge(who, count, now)
	}
}

// of returns the limit of a caller and under which ID it counts: all tokens of an application have
// one together. The token of the configuration and JWTs of an organization are not limited.
func (l *rateLimits) of(caller *webhook.APIKey) (limit *rateLimit, who webhook.ID) {
	switch {
	case caller.Role == webhook.RoleApplication:
		return l.customers, caller.App
	case caller.ID.IsZero():
		return nil, who
	default:
		return l.keys, caller.ID
	}
}
