package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestRaftNeverHearsOfFailedWrites: a write to the log that fails ends the node, and does not return to Raft, which would panic.
func TestRaftNeverHearsOfFailedWrites(t *testing.T) {
	writes := map[string]func(*logStore) error{
		"term": func(l *logStore) error { return l.SetUint64([]byte("CurrentTerm"), 1) },
		"vote": func(l *logStore) error { return l.Set(keyVoteCandidate, []byte("n1")) },
		"logs": func(l *logStore) error { return l.StoreLogs([]*raft.Log{{Index: 1}}) },
		"cut":  func(l *logStore) error { return l.DeleteRange(1, 2) },
		"last": func(l *logStore) error { return second(l.LastIndex()) },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			reason := make(chan error, 10)
			log, err := openLogStore(t.TempDir(), func(err error) { reason <- err })
			must(t, err)
			must(t, log.Close()) // what comes now fails
			log.running.Store(true)
			returned := make(chan error, 1)
			go func() { returned <- write(log) }() // ends with the test process, as it does with the node
			<-log.failed
			<-reason
			select {
			case err := <-returned:
				t.Errorf("Raft hears of %v", err)
			case <-time.After(20 * time.Millisecond):
			}
		})
	}
}

// A node whose log fails while it runs says why, and its Close returns.
func TestLogFailsWhileRunning(t *testing.T) {
	m := newMembers(t, 1)[0]
	reason := make(chan error, 10)
	m.config.Fatal = func(err error) { reason <- err }
	m.start(t)
	readyLeader(t, []*member{m})
	must(t, m.log.BoltStore.Close())
	go func() { _, _ = m.Propose(t.Context(), []byte("lost")) }()
	if err := <-reason; !strings.Contains(err.Error(), "log") {
		t.Errorf("it ends because %v", err)
	}
	if err := m.Close(); err == nil {
		t.Error("Close says that all was well")
	}
	m.Node = nil
}
