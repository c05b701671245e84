package cluster

import (
	"strings"
	"testing"
)

// A node whose log fails while it runs says why, and its Close returns.
func TestLogFailsWhileRunning(t *testing.T) {
	m := newMembers(t, 1)[0]
	reason := make(chan error, 10)
	m.config.Fatal = func(err error) { reason <- err }
	m.start(t)
	readyLeader(t, []*member{m})
	must(t, m.log.Close())
	go func() { _, _ = m.Propose(t.Context(), []byte("lost")) }()
	if err := <-reason; !strings.Contains(err.Error(), "log") {
		t.Errorf("it ends because %v", err)
	}
	if err := m.Close(); err == nil {
		t.Error("Close says that all was well")
	}
	m.Node = nil
}
