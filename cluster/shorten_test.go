package cluster

import (
	"bytes"
	"testing"

	"hookwheel/systemtest/wait"
)

// The log is cut by bytes, whatever the size of its entries, and a node that was away for longer
// than that gets the state.
func TestLogIsCutByBytes(t *testing.T) {
	const limit, size, entries = 1 << 20, 64 << 10, 128
	members := newMembers(t, 3)
	for _, m := range members {
		m.config.LogSize = func() int64 { return limit }
		m.start(t)
	}
	leader, others := readyLeader(t, members)
	away := others[0]
	must(t, away.Barrier(limited(t)))
	away.crash(t)
	cut, last := false, int64(0)
	for i := 0; i < entries || !cut && i < 20*entries; i++ { // a fast disk takes many before the first cut
		body := append([]byte{byte(i)}, bytes.Repeat([]byte("x"), size)...)
		must(t, second(leader.Propose(limited(t), body)))
		now := leader.log.Bytes()
		cut, last = cut || now < last, now
	}
	if !cut {
		t.Errorf("it has %d bytes, and was never cut while entries came; the limit is %d", last, limit)
	}
	awaitShort := func(m *member) {
		t.Helper()
		wait.For(t, "the log is short", func() bool { return m.log.Bytes() <= limit && m.log.FileSize() <= 2*limit+4<<20 })
	}
	awaitShort(leader)
	awaitShort(others[1])
	away.start(t)
	wantSame(t, members)
	if away.machine.restored == 0 {
		t.Error("it caught up without the state: this test tests nothing")
	}
	awaitShort(away)
}
