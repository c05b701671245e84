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

// openSchedule prepares the backups that this node makes while it leads; nil: none.
func (n *Node) openSchedule(version string, registry prometheus.Registerer) (*backup.Schedule, error) {
	config := n.config.Backup
	if config.To.IsZero() {
		backup.NewMetrics(0, registry)
		return nil, nil
	}
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
