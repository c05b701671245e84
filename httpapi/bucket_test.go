package httpapi

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

func bucketOwner(i int) webhook.ID { return webhook.NewID(1_790_000_000_000, uint64(i), 0) }

// However many others there are, nobody gets again what it has used up.
func TestBucketsKeepDebts(t *testing.T) {
	const owners = 3 * fewBuckets
	now := time.Unix(1_790_000_000, 0)
	b := newBuckets(1, 10)
	for i := range owners {
		b.spend(bucketOwner(i), 100, now)
	}
	for i := range owners {
		if b.take(bucketOwner(i), 1, 1, now) {
			t.Fatalf("after %d others, the debt of %d is forgotten", owners, i)
		}
	}
}

// Buckets that are full again are forgotten, and that takes no longer the more there are.
func TestBucketsForget(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	b := newBuckets(60, 10)
	for i := range 20 * fewBuckets {
		now = now.Add(time.Millisecond)
		b.spend(bucketOwner(i), 1, now) // it is full a second later
		if len(b.of) > fewBuckets+1000 {
			t.Fatalf("%d buckets are kept, of which 1,000 are not full", len(b.of))
		}
	}
	now = now.Add(time.Second)
	before := len(b.of)
	b.spend(bucketOwner(-1), 1, now)
	if gone := before + 1 - len(b.of); gone > looks {
		t.Errorf("one call has looked at %d buckets", gone)
	}
}
