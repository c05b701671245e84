package backup

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	firstRetry = time.Minute // after a failure; it doubles
	lastRetry  = time.Hour
)

// Schedule makes backups regularly.
type Schedule struct {
	Repository *Repository
	Every      time.Duration
	Keep       Retention
	Cluster    func() string // the id of the cluster
	Now        func() time.Time
	Open       func(context.Context) (size int64, content io.ReadCloser, err error) // begins to read a backup
	Metrics    *Metrics
	Logger     *slog.Logger

	retry time.Duration // after the first failure; 0: firstRetry
}

// Metrics are those of scheduled backups.
type Metrics struct {
	interval, success, duration, bytes prometheus.Gauge
	failures                           prometheus.Counter
}

// NewMetrics registers the metrics of backups that are made at an interval; 0: of none.
func NewMetrics(every time.Duration, registry prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookwheel_backup_" + name, Help: help})
	}
	m := &Metrics{
		interval: gauge("interval_seconds", "How often a backup is to be made; 0: never."),
		success: gauge("last_success_timestamp_seconds",
			"When the state in the newest scheduled backup was read, as far as this node has seen while it was the leader; 0: none."),
		duration: gauge("last_duration_seconds", "How long the last scheduled backup that this node has made took."),
		bytes:    gauge("last_size_bytes", "What the last scheduled backup that this node has made takes where it is stored."),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookwheel_backup_failures_total",
			Help: "Scheduled backups that this node could not make."}),
	}
	m.interval.Set(every.Seconds())
	registry.MustRegister(m.interval, m.success, m.duration, m.bytes, m.failures)
	return m
}

// Run makes backups until ctx ends. When the next one is due follows from those in the repository,
// so a leader goes on where the one before it was.
func (s *Schedule) Run(ctx context.Context) {
	first := s.retry
	if first == 0 {
		first = firstRetry
	}
	retry := first
	for {
		wait, err := s.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Metrics.failures.Inc()
			wait, retry = retry, min(2*retry, lastRetry)
			s.Logger.Error("no backup was made; it is tried again", "to", s.Repository.Location().String(), "in", wait, "error", err)
		default:
			retry = first
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// step makes a backup if it is due, and returns how long to wait for the next one.
func (s *Schedule) step(ctx context.Context) (wait time.Duration, err error) {
	list, err := s.Repository.List(ctx, s.Cluster())
	if err != nil {
		return 0, err
	}
	for _, b := range list {
		if b.Kind == Scheduled {
			wait = s.until(b.Made)
			s.Metrics.success.Set(float64(b.Made.Unix()))
		}
	}
	if wait > 0 {
		return wait, nil
	}
	begin := time.Now()
	if err := s.make(ctx, begin); err != nil {
		return 0, err
	}
	return max(s.Every-time.Since(begin), 0), nil
}

// until returns how long to wait after a backup. One from so far in the future that it says nothing
// was made by a clock that was wrong, and must not keep others from being made until then.
func (s *Schedule) until(made time.Time) time.Duration {
	ago := s.Now().Sub(made)
	if ago <= -s.Every {
		return 0
	}
	return min(s.Every-ago, s.Every)
}

// make makes a backup and removes what is no longer to be kept.
func (s *Schedule) make(ctx context.Context, begin time.Time) error {
	removed, err := s.Repository.CleanUp(ctx, s.Cluster(), s.Now())
	if err != nil && ctx.Err() == nil { // the backup is what matters
		s.Logger.Warn("what an interrupted backup has left could not be removed; it is tried again before the next one", "error", err)
	}
	if removed > 0 {
		s.Logger.Info("removed what an interrupted backup had left", "objects", removed)
	}
	size, content, err := s.Open(ctx)
	if err != nil {
		return err
	}
	made, _, err := s.Repository.Save(ctx, Scheduled, content, size, nil)
	if err := errors.Join(err, content.Close()); err != nil {
		return err
	}
	took := time.Since(begin)
	s.Metrics.duration.Set(took.Seconds())
	s.Metrics.bytes.Set(float64(made.Bytes))
	s.Metrics.success.Set(float64(made.Made.Unix()))
	s.Logger.Info("backup made", "location", made.Location.String(), "index", made.Index, "bytes", made.Bytes, "took", took.Round(time.Millisecond))
	old, err := s.Repository.Prune(ctx, s.Cluster(), s.Keep, s.Now())
	for _, b := range old {
		s.Logger.Info("removed an old backup", "location", b.Location.String())
	}
	if err != nil { // not a failure of the backup
		s.Logger.Warn("old backups could not be removed; it is tried again after the next one", "error", err)
	}
	return nil
}
