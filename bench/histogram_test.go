package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramAgainstExactQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		var h Histogram
		values := make([]time.Duration, 1+random.IntN(2000))
		for i := range values {
			values[i] = time.Duration(math.Exp(random.Float64() * math.Log(1<<maxBits-1))) // all magnitudes alike
			h.Record(values[i])
		}
		slices.Sort(values)
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
			exact := values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
			got := h.Quantile(q)
			if off := math.Abs(float64(got - exact)); off > 0.01*float64(exact) {
				t.Fatalf("quantile %v of %d values: got %v, exact %v", q, len(values), got, exact)
			}
		}
	}
}

func TestHistogramBucketsFollowOneAnother(t *testing.T) {
	last := -1
	for value := time.Duration(0); value < 1<<20; value++ {
		bucket := bucketOf(value)
		if bucket != last && bucket != last+1 {
			t.Fatalf("%d ns: bucket %d comes after %d", value, bucket, last)
		}
		last = bucket
	}
	for bucket := range buckets {
		if got := bucketOf(middleOf(bucket)); got != bucket {
			t.Fatalf("the middle of bucket %d lies in %d", bucket, got)
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	var h, sum Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("empty: %v", got)
	}
	h.Record(-time.Second)
	h.Record(math.MaxInt64)
	sum.Add(&h)
	sum.Add(&h)
	if got := sum.Count(); got != 4 {
		t.Errorf("count %d, expected 4", got)
	}
	if low, high := sum.Quantile(0), sum.Quantile(1); low != 0 || high < 1<<maxBits-1<<(maxBits-stepBits) {
		t.Errorf("quantiles %v and %v", low, high)
	}
}
