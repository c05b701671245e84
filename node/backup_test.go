package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/backup"
)

// A backup that does not end when its term does keeps the node neither from ending that term nor
// from leading again.
func TestBackupOutlivesTerm(t *testing.T) {
	location, err := backup.ParseLocation("file://" + t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	repository, err := backup.Open(backup.Options{To: location})
	if err != nil {
		t.Fatal(err)
	}
	opened, release := make(chan struct{}), make(chan struct{})
	b := newBackups(&backup.Schedule{
		Repository: repository, Every: time.Hour, Cluster: func() string { return "cluster" }, Now: time.Now,
		Open: func(context.Context) (int64, io.ReadCloser, error) {
			opened <- struct{}{}
			<-release
			return 0, nil, errors.New("the server does not respond")
		},
		Metrics: backup.NewMetrics(time.Hour, prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler)})
	first, endFirst := context.WithCancel(t.Context())
	b.lead(first)
	<-opened
	endFirst()

	second, endSecond := context.WithCancel(t.Context())
	endSecond()
	b.lead(second) // returns, though the backup of the first term has not

	close(release)
	third, endThird := context.WithCancel(t.Context())
	b.lead(third)
	<-opened
	endThird()
	if err := b.close(); err != nil {
		t.Error(err)
	}
}
