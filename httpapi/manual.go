package httpapi

import (
	"fmt"
	"time"

	"hookwheel/webhook"
)

// replayCost is how many manual sends a replay, which may send many messages, counts as.
const replayCost = 20

// manualSends limits what the portals of an application may have sent by hand: each send leaves
// attempts that are kept.
type manualSends struct {
	perMinute float64 // 0: any number
	buckets
}

func newManualSends(perMinute int) *manualSends {
	return &manualSends{float64(perMinute), newBuckets(float64(perMinute), max(float64(perMinute), replayCost))}
}

// take counts some sends for the caller's application. Operators are not limited.
func (m *manualSends) admit(who *webhook.APIKey, count float64, now time.Time) error {
	if m.perMinute == 0 || who.Role != webhook.RoleApplication {
		return nil
	}
	if !m.take(who.App, count, count, now) {
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("More than %.0f messages in a minute were sent by hand for this application (a replay counts as %d): "+
			"wait, or have limits.manual_sends raised in the configuration.", m.perMinute, replayCost)}
	}
	return nil
}
