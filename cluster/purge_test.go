package cluster

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

const testPurge = 200 * time.Millisecond

// anyHolds reports whether a file in the folder of a member has some bytes.
func (m *member) anyHolds(t *testing.T, text string) (found bool) {
	t.Helper()
	must(t, filepath.WalkDir(m.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it was removed meanwhile
		}
		data, err := os.ReadFile(path)
		found = found || err == nil && bytes.Contains(data, []byte(text))
		return nil
	}))
	return found
}

// TestPurge: what was written leaves the files of all nodes although nothing else is written, also
// of one that was started again since. Another that was away meanwhile gets the state.
func TestPurge(t *testing.T) {
	for _, count := range []int{1, 3} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			members := newMembers(t, count)
			for _, m := range members {
				m.config.PurgeInterval = time.Hour
				m.start(t)
			}
			leader, others := readyLeader(t, members)
			for i := range 20 {
				must(t, second(leader.Propose(limited(t), []byte(fmt.Sprint("SECRET-", i, strings.Repeat("x", i*1000))))))
			}
			wantSame(t, members)
			for _, m := range members {
				if !m.anyHolds(t, "SECRET-") {
					t.Error(m.config.ID, "does not have it")
				}
				m.stop(t)
				m.config.PurgeInterval = testPurge
			}
			running := members
			if count > 1 {
				running = []*member{leader, others[0]}
			}
			for _, m := range running {
				m.start(t)
			}
			for _, m := range running {
				wait.For(t, m.config.ID+" does not hold what was written", func() bool { return !m.anyHolds(t, "SECRET-") })
			}
			if count > 1 {
				others[1].start(t)
				wantSame(t, members)
				if others[1].machine.restored == 0 {
					t.Error("it caught up without the state: this test tests nothing")
				}
				wait.For(t, "the third does not hold it", func() bool { return !others[1].anyHolds(t, "SECRET-") })
			}
		})
	}
}

// TestCrashWhilePurging: nodes that are ended again and again while they purge lose nothing.
func TestCrashWhilePurging(t *testing.T) {
	members := newMembers(t, 3)
	for _, m := range members {
		m.config.PurgeInterval = 20 * time.Millisecond
		m.start(t)
	}
	for i := range 12 {
		leader, _ := readyLeader(t, members)
		for j := range 5 {
			must(t, second(leader.Propose(limited(t), []byte(fmt.Sprint(i, "-", j)))))
		}
		m := members[i%3]
		m.crash(t)
		m.start(t)
	}
	wantSame(t, members)
	if got := len(members[0].machine.image.Bodies); got != 60 {
		t.Errorf("%d commands of 60", got)
	}
}

// TestReceivedStateIsRemoved: a crash may leave the state that a leader was sending.
func TestReceivedStateIsRemoved(t *testing.T) {
	m := newMembers(t, 1)[0]
	m.start(t)
	m.stop(t)
	path := filepath.Join(m.config.Dir, "raft", "received.snapshot")
	must(t, os.WriteFile(path, []byte("SECRET-"), 0o600))
	must(t, Clean(m.config.Dir)) // the store calls it at the start
	m.start(t)
	if m.anyHolds(t, "SECRET-") {
		t.Error("it is there still")
	}
}

// TestFirstPurge: a start does not put a purge off, whatever the clock says.
func TestFirstPurge(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		last time.Time
		want time.Duration
	}{
		{now.Add(-time.Hour), 7 * time.Hour},
		{now.Add(-8 * time.Hour), 5 * time.Minute},
		{now.Add(-1000 * time.Hour), 5 * time.Minute},
		{now.Add(time.Hour), 5 * time.Minute}, // a clock was wrong
		{time.Time{}, 5 * time.Minute},        // it is not known
		{time.UnixMilli(0), 5 * time.Minute},
	} {
		p := &purger{interval: purgeInterval, last: test.last}
		if got := p.first(now); got != test.want {
			t.Errorf("the last one at %s: the next in %s, not %s", test.last, got, test.want)
		}
	}
}
