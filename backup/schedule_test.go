package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"hookwheel/backup/s3test"
	"hookwheel/systemtest/wait"
)

// testNode makes backups of a cluster whose time the test sets.
type testNode struct {
	*Schedule
	clock  *atomic.Int64 // seconds after testTime
	opened atomic.Int64
	fail   atomic.Bool
}

func newTestNode(r *Repository, clock *atomic.Int64) *testNode {
	n := &testNode{clock: clock}
	now := func() time.Time { return testTime.Add(time.Duration(clock.Load()) * time.Second) }
	n.Schedule = &Schedule{Repository: r, Every: time.Hour, Keep: Retention{Count: 3}, Cluster: func() string { return testCluster }, Now: now,
		Open: func(context.Context) (int64, io.ReadCloser, error) {
			index := uint64(n.opened.Add(1))
			if n.fail.Load() {
				return 0, nil, errors.New("the store is broken")
			}
			data := fakeBackupAt(testCluster, index, now(), 1000)
			return int64(len(data)), io.NopCloser(bytes.NewReader(data)), nil
		},
		Metrics: NewMetrics(time.Hour, prometheus.NewRegistry()), Logger: slog.New(slog.DiscardHandler), retry: time.Millisecond}
	return n
}

func (n *testNode) mustStep(t *testing.T) time.Duration {
	t.Helper()
	wait, err := n.step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// Leaders that follow one another make each backup once, at its time, and keep so many.
func TestScheduleAcrossLeaders(t *testing.T) {
	eachTarget(t, testKey, func(t *testing.T, r *Repository) {
		var clock atomic.Int64
		a, b := newTestNode(r, &clock), newTestNode(r, &clock)
		a.mustStep(t)
		if wait := b.mustStep(t); wait != time.Hour || b.opened.Load() > 0 {
			t.Errorf("the next leader waits %s, and made %d", wait, b.opened.Load())
		}
		if got := testutil.ToFloat64(b.Metrics.success); got != float64(testTime.Unix()) {
			t.Errorf("the last success is at %f", got)
		}
		clock.Store(3000)
		if wait := a.mustStep(t); wait != 10*time.Minute {
			t.Errorf("after 50 minutes it waits %s", wait)
		}
		for i := range 6 {
			clock.Store(int64(3600 * (i + 1)))
			b.mustStep(t)
			a.mustStep(t)
		}
		if a.opened.Load() != 1 || b.opened.Load() != 6 {
			t.Errorf("made %d and %d", a.opened.Load(), b.opened.Load())
		}
		if got := list(t, r, testCluster); len(got) != 3 || got[2].Made != testTime.Add(6*time.Hour) {
			t.Errorf("kept: %+v", got)
		}
		save(t, r, Scheduled, fakeBackup(testCluster, testTime.Add(7*time.Hour-time.Second), 100)) // by a clock ahead
		if wait := a.mustStep(t); wait != time.Hour {
			t.Errorf("after a backup of the future it waits %s", wait)
		}
	})
}

// Backups that were made while a clock was a year ahead neither stop the schedule nor count as
// newer than those made later, which would be removed.
func TestScheduleAfterWrongClock(t *testing.T) {
	eachTarget(t, "", func(t *testing.T, r *Repository) {
		var clock atomic.Int64
		n := newTestNode(r, &clock)
		for range 4 {
			clock.Store(int64(365*24*3600 + n.opened.Load()*3600))
			n.mustStep(t)
		}
		var last int64
		for hour := range int64(5) {
			last = hour * 3600
			clock.Store(last)
			n.mustStep(t)
		}
		if made := n.opened.Load(); made != 9 {
			t.Errorf("made %d, not 9", made)
		}
		got := list(t, r, testCluster)
		if newest := got[len(got)-1]; newest.Index != 9 || newest.Made != testTime.Add(time.Duration(last)*time.Second) {
			t.Errorf("the newest: %+v", newest)
		}
		clock.Store(366 * 24 * 3600) // so that those of the future are old
		n.mustStep(t)
		if got := list(t, r, testCluster); len(got) != 3 || got[0].Index != 8 {
			t.Errorf("kept: %+v", got)
		}
	})
}

// A manual backup does not count, nor one that was interrupted, which is removed.
func TestScheduleAfterInterruption(t *testing.T) {
	eachTarget(t, "", func(t *testing.T, r *Repository) {
		var clock atomic.Int64
		save(t, r, Manual, fakeBackup(testCluster, testTime, 100))
		killed := Name{Cluster: testCluster, Made: testTime, Index: 9, Kind: Scheduled, random: "0000000a"}
		begin(t, r, killed.key())
		n := newTestNode(r, &clock)
		n.mustStep(t)
		if got := list(t, r, testCluster); len(got) != 2 || n.opened.Load() != 1 {
			t.Errorf("%d made; %+v", n.opened.Load(), got)
		}
		if left := leftovers(t, r); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// Two nodes at once, both of which take themselves for the leader: what is complete is good.
func TestScheduleTwoAtOnce(t *testing.T) {
	s := s3test.Start(t)
	var clock atomic.Int64
	nodes := []*testNode{newTestNode(onServer(t, s, testKey), &clock), newTestNode(onServer(t, s, testKey), &clock)}
	for hour := range 5 {
		clock.Store(int64(hour * 3600))
		var both sync.WaitGroup
		for _, n := range nodes {
			both.Go(func() { _, _ = n.step(t.Context()) }) // one may take from the other what it writes
		}
		both.Wait()
		nodes[0].mustStep(t)
	}
	r := nodes[0].Repository
	got := list(t, r, testCluster)
	if len(got) < 3 {
		t.Errorf("%+v", got)
	}
	for _, b := range got {
		if _, err := read(t, r, b); err != nil {
			t.Error(err)
		}
	}
}

// Failures are counted, logged with their cause, and repeated until a backup is made.
func TestScheduleFailures(t *testing.T) {
	s := s3test.Start(t)
	var clock atomic.Int64
	n := newTestNode(onServer(t, s, ""), &clock)
	var log wait.Log
	n.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		fail(w, 403, "AccessDenied")
		return true
	})
	n.fail.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(ctx)
	}()
	wait.For(t, "the error of the bucket", func() bool {
		return strings.Contains(log.String(), "403 AccessDenied: for a test; allow s3:ListBucket")
	})
	s.Intercept(nil)
	wait.For(t, "the error of the store", func() bool { return strings.Contains(log.String(), "the store is broken") })
	if failures := testutil.ToFloat64(n.Metrics.failures); failures < 2 {
		t.Errorf("%f failures", failures)
	}
	n.fail.Store(false)
	wait.For(t, "a backup", func() bool { return strings.Contains(log.String(), "backup made") })
	cancel()
	<-ended
	if strings.Contains(log.String(), s3test.Secret) {
		t.Error("the log has the secret")
	}
}
