package bench

import (
	"errors"
	"fmt"
	"time"
)

// Report is what a run has shown. Rates are per second of the time from the first POST; durations
// are in nanoseconds. A delivery is one event at one endpoint.
type Report struct {
	Events      int `json:"events"` // to send
	Endpoints   int `json:"endpoints"`
	Connections int `json:"connections"`
	Batch       int `json:"batch,omitempty"` // events of a POST; 0: one by itself
	Size        int `json:"size"`            // of a payload, in bytes

	Rate float64 `json:"rate,omitempty"` // events per second that were offered; 0: as fast as they were accepted

	Accepted          int            `json:"accepted"`           // events answered with 202
	AcceptedPerSecond float64        `json:"acceptedPerSecond"`  // to the last 202
	Failed            int            `json:"failed"`             // POSTs with another answer, or none
	Failures          map[string]int `json:"failures,omitempty"` // by status, or "no answer"
	Errors            []string       `json:"errors,omitempty"`   // the first few

	Delivered          int     `json:"delivered"`          // different events, over all endpoints
	DeliveredPerSecond float64 `json:"deliveredPerSecond"` // to the last arrival
	Lost               int     `json:"lost"`               // deliveries of accepted events that did not arrive
	Duplicated         int     `json:"duplicated"`         // arrivals beyond the first
	Unconfirmed        int     `json:"unconfirmed"`        // deliveries of events that were not accepted
	Unknown            int     `json:"unknown"`            // requests to the sink that carried no event of this run

	Post    Latency `json:"post"`    // POST → 202; with a rate, from when the POST was due
	Arrival Latency `json:"arrival"` // POST → first arrival; likewise

	CheckedSignatures int `json:"checkedSignatures"`
	BadSignatures     int `json:"badSignatures"`

	Elapsed time.Duration `json:"elapsedNs"`         // from the first POST until the waiting ended
	CPU     time.Duration `json:"cpuNs"`             // of this process in that time
	Stopped string        `json:"stopped,omitempty"` // why the run was cut short; empty: it was not

	Bare  *Bare   `json:"bare,omitempty"`  // the bare loop; nil: not measured
	Ratio float64 `json:"ratio,omitempty"` // deliveries of the run ÷ those of the bare loop, per second

	Relays []RelayRun `json:"relays,omitempty"` // the relay without and with a log; nil: not measured

	Usage      *Usage `json:"usage,omitempty"`      // of the nodes; nil: not measured
	UsageError string `json:"usageError,omitempty"` // why not
}

// Latency is three quantiles.
type Latency struct {
	P50  time.Duration `json:"p50Ns"`
	P99  time.Duration `json:"p99Ns"`
	P999 time.Duration `json:"p999Ns"`
}

func latencyOf(h *Histogram) Latency {
	return Latency{P50: h.Quantile(0.5), P99: h.Quantile(0.99), P999: h.Quantile(0.999)}
}

// fill takes what generator and sink have counted.
func (r *Report) fill(g *generator, tallies []tally) {
	r.Accepted = int(g.accepted.Load())
	r.AcceptedPerSecond = perSecond(r.Accepted, g.began, g.ended.Load())
	r.Failed, r.Failures, r.Errors = g.failures.total, g.failures.kinds, g.failures.texts
	r.Delivered = delivered(tallies)
	r.DeliveredPerSecond = perSecond(r.Delivered, g.began, lastArrival(tallies))
	r.Lost = lost(g, tallies)
	r.Unconfirmed = r.Delivered + r.Lost - r.Accepted*len(tallies)
	r.Post = latencyOf(&g.latency)
	var arrival Histogram
	for i := range tallies {
		t := &tallies[i]
		arrival.Add(&t.latency)
		r.Duplicated += int(t.duplicated.Load())
		r.CheckedSignatures += int(t.checked.Load())
		r.BadSignatures += int(t.bad.Load())
	}
	r.Arrival = latencyOf(&arrival)
	if r.Bare != nil && r.Bare.DeliveredPerSecond > 0 {
		r.Ratio = r.DeliveredPerSecond / r.Bare.DeliveredPerSecond
	}
	for i := range r.Relays {
		if relay := &r.Relays[i]; relay.DeliveredPerSecond > 0 {
			relay.Ratio = r.DeliveredPerSecond / relay.DeliveredPerSecond
		}
	}
}

// Err returns an error if a run that was not cut short broke a promise: something lost, wrongly
// signed, or nothing accepted.
func (r *Report) Err() error {
	switch {
	case r.Stopped != "":
		return nil
	case r.Accepted == 0:
		return errors.New("no event was accepted")
	case r.Lost > 0 || r.BadSignatures > 0:
		return fmt.Errorf("%d lost, %d bad signatures", r.Lost, r.BadSignatures)
	}
	return nil
}

// perSecond returns count per second between two moments in nanoseconds, or 0 if they are the same.
func perSecond(count int, from, to int64) float64 {
	if to <= from {
		return 0
	}
	return float64(count) / time.Duration(to-from).Seconds()
}

// lastArrival is when the last new event arrived; 0 if none did.
func lastArrival(tallies []tally) int64 {
	last := int64(0)
	for i := range tallies {
		last = max(last, tallies[i].last.Load())
	}
	return last
}
