package delivery

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	attempts       map[reason]prometheus.Counter
	attemptSeconds prometheus.Histogram
	deliverSeconds prometheus.Histogram
	inFlight       prometheus.Gauge
	parked         prometheus.Gauge
	failing        prometheus.Gauge
	retries        prometheus.Gauge
	tailBytes      prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookwheel_attempts_total", Help: "Attempts made, by how they ended."}, []string{"outcome"})
	m := &metrics{
		attempts: make(map[reason]prometheus.Counter),
		attemptSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hookwheel_attempt_duration_seconds", Help: "How long attempts take.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		deliverSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hookwheel_delivery_duration_seconds", Help: "From accepting a message to an endpoint's 2xx.", Buckets: prometheus.ExponentialBuckets(0.002, 2, 26)}),
		inFlight:  gauge("hookwheel_attempts_in_flight", "Attempts under way; 0 on followers."),
		parked:    gauge("hookwheel_endpoints_parked", "Endpoints that keep failing and only get probes; 0 on followers."),
		failing:   gauge("hookwheel_endpoints_failing", "Endpoints whose last attempt failed, but that are not parked; 0 on followers."),
		retries:   gauge("hookwheel_retries_waiting", "Retries that wait in memory; 0 on followers."),
		tailBytes: gauge("hookwheel_tail_bytes", "Messages in memory for endpoints that keep up; 0 on followers."),
	}
	for _, why := range reasons {
		m.attempts[why] = attempts.WithLabelValues(string(why))
	}
	registry.MustRegister(attempts, m.attemptSeconds, m.deliverSeconds, m.inFlight, m.parked, m.failing, m.retries, m.tailBytes)
	return m
}
