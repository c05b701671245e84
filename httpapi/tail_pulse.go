package httpapi

import (
	"math/bits"
	"time"

	"hookwheel/webhook"
)

// attemptCounts counts attempts by result, and by how long they took.
type attemptCounts struct {
	results outcomeCounts
	took    [durationBuckets]uint32
}

func (c *attemptCounts) count(a *webhook.Attempt) {
	c.results.count(a.Status)
	if a.Status != webhook.StatusCanceled { // which was not sent
		c.took[durationBucket(a.Duration)]++
	}
}

// Durations have four buckets for each power of two milliseconds, so quantiles are at most a
// quarter too high.
const durationBuckets = 4 * 18 // up to 262 s

func durationBucket(d time.Duration) int {
	ms := uint64(max(0, d.Milliseconds()))
	if ms < 4 {
		return int(ms)
	}
	power := bits.Len64(ms) - 1
	return min(durationBuckets-1, 4*(power-1)+int(ms>>(power-2)&3))
}

// bucketEnd returns the longest duration of a bucket, in milliseconds.
func bucketEnd(bucket int) int {
	if bucket < 4 {
		return bucket
	}
	power := bucket/4 + 1
	return (5+bucket%4)<<(power-2) - 1
}

// pulseOut is what a pulse shows.
type pulseOut struct {
	Timestamp time.Time     `json:"timestamp"` // end of the second
	Attempts  outcomeCounts `json:"attempts"`
	Latency   latencyOut    `json:"attemptLatency"`
	Backlog   pulseBacklog  `json:"backlog"`
	Lag       *uint64       `json:"lag,omitempty"` // for operators: committed entries that this node has not applied
}

type pulseBacklog struct {
	Waiting   uint64     `json:"waiting"`
	Held      uint64     `json:"held"`
	Requested uint64     `json:"requested"`
	Behind    uint64     `json:"behind"`
	Oldest    *time.Time `json:"oldest"`
}

// latency returns how long the attempts took; it is empty if nothing was sent.
func (c *attemptCounts) latency() (out latencyOut) {
	total := uint32(0)
	for _, n := range c.took {
		total += n
	}
	if total == 0 {
		return out
	}
	quantile := func(percent uint32) *int64 {
		rank, seen := max(1, (total*percent+99)/100), uint32(0)
		for bucket, n := range c.took {
			if seen += n; seen >= rank {
				return new(int64(bucketEnd(bucket)))
			}
		}
		return new(int64(bucketEnd(durationBuckets - 1)))
	}
	return latencyOut{P50: quantile(50), P95: quantile(95), P99: quantile(99)}
}

// sendPulse sends the counts of the last second. An application that the stream is about limits
// them; other filters do not.
func (t *tailStream) sendPulse() error {
	end, lag, counts := t.view.lastSecond()
	waiting, err := t.server.backlogs.current(t.request.app)
	if err != nil {
		return err
	}
	out := pulseOut{Timestamp: end.UTC().Truncate(time.Millisecond), Attempts: counts.results, Latency: counts.latency(),
		Backlog: pulseBacklog{Waiting: waiting.Retrying, Held: waiting.Held, Requested: waiting.Requested, Behind: waiting.Behind, Oldest: optional(waiting.Oldest)}}
	if !t.request.byCustomer {
		out.Lag = &lag
	}
	if err := t.show("pulse", webhook.ID{}, out); err != nil {
		return err
	}
	return t.flush()
}
