package httpapi

import (
	"strings"
	"testing"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// However many customers keep responses, together they take a small part of storage.max_size, and
// one more can still keep some.
func TestKeptResponsesOfAllApplications(t *testing.T) {
	const maxSize = 1 << 30
	k, now := newKeptResponses(maxSize), time.Unix(1e9, 0)
	kept := 0
	caller := func(i int) *webhook.APIKey {
		return &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.NewID(1e12, uint64(i+1), 0)}
	}
	refused := make(map[bool]int) // for what all have used up, and for what one has
	for i := range 1000 {
		for range 1000 {
			err := k.check(caller(i), now)
			if err != nil {
				refused[strings.Contains(err.Error(), "all applications")]++
				break
			}
			k.charge(caller(i), 10_000, now)
			kept += 10_000
		}
	}
	if kept > maxSize/keptPart*5/2 || len(refused) != 2 {
		t.Errorf("%d bytes are kept of at most %d, refusals are %v", kept, maxSize/keptPart*5/2, refused)
	}
	if err := k.check(caller(1000), now); err != nil {
		t.Error(err)
	}
	if err := k.check(caller(0), now.Add(wal.IdempotencyWindow)); err != nil {
		t.Error(err)
	}
}
