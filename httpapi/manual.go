package httpapi

import (
	"fmt"
	"time"

	"hookwheel/webhook"
)

// replayCost is how many manual sends a replay, which may send many messages, counts as.
const replayCost = 20

// manualSends limits the manual sends by the portals of an application: each of them leaves
// attempts that are kept.
type manualSends struct {
	perMinute float64 // 0: no limit
	buckets
}

func newManualSends(perMinute int) *manualSends {
	return &manualSends{float64(perMinute), newBuckets(float64(perMinute), max(float64(perMinute), replayCost))}
}

// admit counts some sends for the caller's application. Operators are not limited.
func (m *manualSends) admit(caller *webhook.APIKey, count float64, now time.Time) error {
	if m.perMinute == 0 || caller.Role != webhook.RoleApplication {
		return nil
	}
	if !m.take(caller.App, count, count, now) {
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("More than %.0f messages in a minute were sent by hand for this application (a replay counts as %d): "+
			"wait, or have limits.manual_sends raised in the configuration.", m.perMinute, replayCost)}
	}
	return nil
}

func (r *request) admitManual(count float64, now time.Time) error {
	return r.server.live.Load().manual.admit(r.caller, count, now)
}
