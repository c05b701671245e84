package bench

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram has 128 buckets of equal width for each power of two, so a bucket is at most 1/128 of
// its values wide and its middle is within 0.4 % of each of them. Below 128 ns a bucket is 1 ns
// wide.
const (
	stepBits = 7
	steps    = 1 << stepBits
	maxBits  = 40 // values from 2^40 ns, 18 minutes, on share the last bucket
	buckets  = (maxBits - stepBits + 1) * steps
)

// Histogram counts durations, to be asked for quantiles. All its methods may be called at the same
// time; the zero value is empty.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts one duration; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

// Add counts all that other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i := range other.counts {
		if n := other.counts[i].Load(); n > 0 {
			h.counts[i].Add(n)
		}
	}
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 {
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	return total
}

// Quantile returns the smallest duration that the share q (0..1) of all recorded ones does not
// exceed, exact to 0.4 %, or 0 if nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	rank := max(1, uint64(math.Ceil(q*float64(total))))
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return middleOf(i)
		}
	}
	return 0
}

func bucketOf(d time.Duration) int {
	value := uint64(max(d, 0))
	if value < steps {
		return int(value)
	}
	// The top stepBits+1 bits of the value; the first of them is always 1 and counts the octave.
	shift := bits.Len64(value) - stepBits - 1
	return min(shift*steps+int(value>>shift), buckets-1)
}

func middleOf(bucket int) time.Duration {
	if bucket < 2*steps {
		return time.Duration(bucket)
	}
	shift := bucket/steps - 1
	low := (bucket - shift*steps) << shift
	return time.Duration(low + 1<<shift/2)
}
