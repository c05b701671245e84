package httpapi

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"hookwheel/webhook"
)

// codeRate is for a token that makes more requests than it may.
const codeRate webhook.Code = "rate_limited"

// rateRetryAfter is how many seconds such a client should wait.
const rateRetryAfter = "1"

// rateLimit limits the requests per second of each token of a kind on this node. A token that was
// not used for a while may make as many at once.
type rateLimit struct {
	setting   string // that raises it
	perSecond int    // 0: no limit
	buckets
	refused prometheus.Counter
}

func newRateLimit(setting string, perSecond int, refused *prometheus.CounterVec, kind string) *rateLimit {
	return &rateLimit{setting: setting, perSecond: perSecond, buckets: newBuckets(60*float64(perSecond), float64(perSecond)),
		refused: refused.WithLabelValues(kind)}
}

// admit counts a request of a caller, or refuses it.
func (l *rateLimit) admit(who webhook.ID, now time.Time) error {
	if l.perSecond == 0 || l.take(who, 1, 1, now) {
		return nil
	}
	l.refused.Inc()
	return &webhook.Error{Code: codeRate, Detail: fmt.Sprintf(
		"This token has made more than the %d requests per second that one may make on this node; %s in the configuration changes that.", l.perSecond, l.setting)}
}

// charge counts requests that were done for a caller. They may be more than are left, which later
// requests make up for.
func (l *rateLimit) charge(who webhook.ID, count int, now time.Time) {
	if l.perSecond > 0 {
		l.take(who, math.Inf(-1), float64(count), now)
	}
}

// rateLimits are those of all kinds of tokens.
type rateLimits struct {
	keys, customers *rateLimit
}

// newLimitedRequests returns the counter of requests that rateLimits refuse.
func newLimitedRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookwheel_rate_limited_requests_total",
		Help: "Requests that this node has refused with 429 because their token made too many of them, by the kind of token."}, []string{"token"})
}

func newRateLimits(c *Changeable, refused *prometheus.CounterVec) *rateLimits {
	return &rateLimits{keys: newRateLimit("limits.key_requests", c.KeyRequests, refused, "key"),
		customers: newRateLimit("limits.portal_requests", c.PortalRequests, refused, "application")}
}

// admit counts a request, or refuses it.
func (l *rateLimits) admit(caller *webhook.APIKey, now time.Time) error {
	if limit, who := l.of(caller); limit != nil {
		return limit.admit(who, now)
	}
	return nil
}

// charge counts requests that one request of a caller is worth, in addition to itself.
func (l *rateLimits) charge(caller *webhook.APIKey, count int, now time.Time) {
	if limit, who := l.of(caller); limit != nil {
		limit.charge(who, count, now)
	}
}

// of returns the limit of a caller and under which ID it counts. The token of the configuration and
// JWTs of an organization are not limited; JWTs of an application share one limit, because they
// have no ID.
func (l *rateLimits) of(caller *webhook.APIKey) (limit *rateLimit, who webhook.ID) {
	switch {
	case caller.Role == webhook.RoleApplication && caller.ID.IsZero():
		return l.customers, caller.App
	case caller.Role == webhook.RoleApplication:
		return l.customers, caller.ID
	case caller.ID.IsZero():
		return nil, who
	default:
		return l.keys, caller.ID
	}
}
