package node

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/backup"
	"hookwheel/wal"
)

// backups makes backups while this node leads, in a goroutine of its own: a folder on a server that
// no longer responds can stop a backup for hours, and must not keep this node from leading again.
type backups struct {
	schedule *backup.Schedule
	terms    chan context.Context // those in which this node leads
	ended    chan struct{}        // closed at the end of the goroutine
}

// startBackups starts what makes the backups of this node; nil: none are to be made.
func (n *Node) startBackups(version string, registry prometheus.Registerer) (*backups, error) {
	if n.config.Backup.To.IsZero() {
		backup.NewMetrics(0, registry)
		return nil, nil
	}
	schedule, err := n.openSchedule(version, registry)
	if err != nil {
		return nil, err
	}
	b := newBackups(schedule)
	n.onClose("scheduled backups", b.close)
	return b, nil
}

func newBackups(schedule *backup.Schedule) *backups {
	b := &backups{schedule: schedule, terms: make(chan context.Context), ended: make(chan struct{})}
	go b.run()
	return b
}

func (b *backups) run() {
	defer close(b.ended)
	for term := range b.terms {
		b.schedule.Run(term)
	}
}

// lead has backups made until ctx ends. It does not wait for one that is being made then.
func (b *backups) lead(ctx context.Context) {
	select {
	case b.terms <- ctx:
	case <-ctx.Done(): // a backup of an earlier term has not ended
	}
}

// close waits for the end of a backup that is being made. This node leads no more.
func (b *backups) close() error {
	close(b.terms)
	<-b.ended
	return nil
}

func (n *Node) openSchedule(version string, registry prometheus.Registerer) (*backup.Schedule, error) {
	config := n.config.Backup
	repository, err := backup.Open(config.Options())
	if err != nil {
		return nil, fmt.Errorf("backup.to can't be used: %w", err)
	}
	return &backup.Schedule{
		Repository: repository, Every: config.Every, Keep: backup.Retention{Count: config.Keep, Age: config.KeepFor},
		Cluster: func() string { return n.cluster.Status().Cluster }, Now: func() time.Time { return n.cluster.Now() },
		Open: func(ctx context.Context) (int64, io.ReadCloser, error) {
			return n.store.OpenBackup(ctx, wal.BackupHeader{Cluster: n.cluster.Status().Cluster, Node: n.config.Node, Version: version})
		},
		Metrics: backup.NewMetrics(config.Every, registry), Logger: n.log,
	}, nil
}
