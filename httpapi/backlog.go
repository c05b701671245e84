package httpapi

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/wal"
)

// backlogAge is how old the figures of what waits may be when they are scraped.
const backlogAge = 15 * time.Second

var (
	waitingDesc = prometheus.NewDesc("hookwheel_waiting_messages",
		"Messages that wait, over all endpoints, by where: log (counting stops at some thousands), retry, held, requested.",
		[]string{"where"}, nil)
	oldestDesc = prometheus.NewDesc("hookwheel_oldest_waiting_seconds",
		"Age of the oldest message that waits for any endpoint; 0 if nothing waits.", nil, nil)
)

// backlogCollector tells Prometheus what waits, the same on every node.
type backlogCollector struct {
	store *wal.Store

	mu    sync.Mutex
	taken time.Time
	sum   wal.Waiting
}

// Describe implements prometheus.Collector.
func (c *backlogCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- waitingDesc
	descs <- oldestDesc
}

// Collect implements prometheus.Collector.
func (c *backlogCollector) Collect(metrics chan<- prometheus.Metric) {
	sum, err := c.current()
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

func (c *backlogCollector) current() (wal.Waiting, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.taken) < backlogAge {
		return c.sum, nil
	}
	sum, err := c.store.Waiting()
	if err == nil {
		c.sum, c.taken = sum, time.Now()
	}
	return sum, err
}
