package httpapi

import (
	"fmt"
	"math"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// How many bytes of responses may be kept on this node under the idempotency keys of all
// applications' tokens, and of those of one, at once and again in each window: a 64th of
// storage.max_size, and an eighth of that, but not more than these.
const (
	keptOfAll   = 1 << 30
	keptOfOne   = 16 << 20
	keptPart    = 64
	keptOwnPart = 8
	keptRest    = 1024 // beyond all that, each may keep one in so many bytes
)

// keptResponses limits what is kept for the tokens of applications. A short request may have a
// large response, which is kept for hours and belongs to nobody's share of storage.max_size.
type keptResponses struct{ own, all buckets }

func newKeptResponses(maxSize int64) *keptResponses {
	all := int64(keptOfAll)
	if maxSize > 0 {
		all = min(all, maxSize/keptPart)
	}
	buckets := func(size int64) buckets {
		return newBuckets(float64(size)/wal.IdempotencyWindow.Minutes(), float64(size))
	}
	return &keptResponses{own: buckets(min(keptOfOne, all/keptOwnPart)), all: buckets(all)}
}

// check returns an error if no response may be kept. Operators are not limited.
func (k *keptResponses) check(caller *webhook.APIKey, now time.Time) error {
	switch {
	case caller.Role != webhook.RoleApplication:
		return nil
	case !k.own.take(caller.App, 1, 0, now):
		return errKept("this application's idempotency keys", k.own.size)
	case !k.all.take(webhook.ID{}, 1, 0, now) && k.own.used(caller.App, now) >= k.all.size/keptRest:
		return errKept("the idempotency keys of all applications", k.all.size)
	}
	return nil
}

func errKept(whose string, size float64) error {
	return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("The responses that are kept under %s take the %.0f KiB that they may take in %.0f hours. "+
		"Send requests without Idempotency-Key, make fewer of them, or raise storage.max_size.", whose, size/1024, wal.IdempotencyWindow.Hours())}
}

// charge counts a response that was kept.
func (k *keptResponses) charge(caller *webhook.APIKey, size int, now time.Time) {
	if caller.Role == webhook.RoleApplication {
		k.own.take(caller.App, math.Inf(-1), float64(size), now)
		k.all.take(webhook.ID{}, math.Inf(-1), float64(size), now)
	}
}
