package httpapi

import (
	"bytes"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const metricsCost = 1 << 20 // bytes of a response

// registerMetrics registers the metrics of the API and of the store that are scraped here.
func (s *Server) registerMetrics() {
	expired := func() float64 { return float64(s.config.Store.Expired()) }
	s.config.Metrics.MustRegister(s.access.counts, backlogCollector{s.backlogs}, s.accepted, s.open.refused, s.limited,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "hookwheel_expired_messages",
			Help: "Messages that left the log before they were delivered or given up, over all endpoints that there are; the same on every node."},
			expired),
		changesCollector{s.config.Store})
}

var removedChangesDesc = prometheus.NewDesc("hookwheel_removed_changes_total",
	"Changes in the audit list that were removed within their week to make room for newer ones, by who made them; the same on every node.",
	[]string{"by"}, nil)

var untoldChangesDesc = prometheus.NewDesc("hookwheel_untold_changes_total",
	"Changes of endpoints by customers that no operational webhook reported, because these customers made too many; the same on every node.", nil, nil)

// changesCollector counts changes that were removed from the audit list early, or not reported.
type changesCollector struct{ store *wal.Store }

// Describe implements prometheus.Collector.
func (c changesCollector) Describe(to chan<- *prometheus.Desc) {
	to <- removedChangesDesc
	to <- untoldChangesDesc
}

// Collect implements prometheus.Collector.
func (c changesCollector) Collect(to chan<- prometheus.Metric) {
	operators, customers, cluster := c.store.RemovedChangesBy()
	for by, count := range map[string]uint64{"operators": operators, "customers": customers, "cluster": cluster} {
		to <- prometheus.MustNewConstMetric(removedChangesDesc, prometheus.CounterValue, float64(count), by)
	}
	to <- prometheus.MustNewConstMetric(untoldChangesDesc, prometheus.CounterValue, float64(c.store.UntoldChanges()))
}

// getMetrics may need no token, so it shows nothing about single customers.
func (s *Server) getMetrics(ctx *fasthttp.RequestCtx) {
	l, err := s.responses.lend(stranger, metricsCost)
	if err != nil {
		s.respond.writeError(ctx, err)
		return
	}
	families, err := s.config.Metrics.Gather()
	var text bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	encoder := expfmt.NewEncoder(&text, format)
	for _, family := range families {
		err = errors.Join(err, encoder.Encode(family))
	}
	if err != nil {
		l.end()
		s.respond.writeError(ctx, err)
		return
	}
	ctx.SetContentType(string(format))
	setBody(ctx, text.Bytes(), l)
}

var (
	waitingDesc = prometheus.NewDesc("hookwheel_waiting_messages",
		"Messages that wait, over all endpoints, by where: log (counting stops at some thousands), retry, held, requested.",
		[]string{"where"}, nil)
	oldestDesc = prometheus.NewDesc("hookwheel_oldest_waiting_seconds",
		"Age of the oldest message that waits for any endpoint; 0 if nothing waits.", nil, nil)
)

// backlogCollector collects metrics about the backlog, which are the same on every node.
type backlogCollector struct{ backlogs *backlogs }

// Describe implements prometheus.Collector.
func (c backlogCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- waitingDesc
	descs <- oldestDesc
}

// Collect implements prometheus.Collector.
func (c backlogCollector) Collect(metrics chan<- prometheus.Metric) {
	sum, err := c.backlogs.current(webhook.ID{})
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(waitingDesc, err)
		return
	}
	for where, n := range map[string]uint64{"log": sum.Behind, "retry": sum.Retrying, "held": sum.Held, "requested": sum.Requested} {
		metrics <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(n), where)
	}
	age := 0.0
	if !sum.Oldest.IsZero() {
		age = max(0, time.Since(sum.Oldest).Seconds())
	}
	metrics <- prometheus.MustNewConstMetric(oldestDesc, prometheus.GaugeValue, age)
}
