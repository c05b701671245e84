package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/raftlog"
	"hookwheel/systemtest/wait"
)

const beyondTheLog = 6000 // entries: more than Raft keeps after a snapshot

// A node that was away for longer than the log reaches back, one that begins again, and one that
// crashed after that, all get the state.
func TestFarBehindGetsSnapshot(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	away := others[0]
	reply, err := others[1].Propose(limited(t), []byte("before"))
	must(t, err)
	if want := replyTo([]byte("before"), 1); string(reply) != want {
		t.Errorf("reply %q, want %q", reply, want)
	}
	must(t, away.Barrier(limited(t)))
	away.crash(t)
	fillLog(t, leader, "while away ", beyondTheLog)
	must(t, others[1].Barrier(limited(t)))
	leader.cutLog(t)
	others[1].cutLog(t)

	away.start(t)
	wantSame(t, members)
	if away.machine.restored == 0 {
		t.Error("it caught up without a snapshot: this test tests nothing")
	}
	// The machine has the state a moment before Raft notes it.
	wait.For(t, "Raft knows of the state", func() bool { return away.raft.LastIndex() >= away.machine.Applied() })
	if base := entryBeforeLog(t, away); len(base.Data) > 0 || base.Term == 0 {
		t.Errorf("the entry before the log is %+v, want one with a term and without content", base)
	}

	away.crash(t) // its log lies wholly behind the state it took over, or goes on from there
	must(t, second(leader.Propose(limited(t), []byte("after"))))
	away.start(t)
	wantSame(t, members)

	away.stop(t)
	away.machine, away.config.Dir = newMachine(), t.TempDir() // a new disk
	away.start(t)
	wantSame(t, members)
	if away.machine.restored == 0 {
		t.Error("a new disk was filled without a snapshot: this test tests nothing")
	}
	if last := away.machine.bodies()[beyondTheLog+1]; last != "after" {
		t.Errorf("the last command is %q", last)
	}
}

// entryBeforeLog returns the lowest entry that is in one piece with the newest.
func entryBeforeLog(t *testing.T, m *member) (lowest raft.Log) {
	t.Helper()
	for index := m.raft.LastIndex(); index > 0; index-- {
		var entry raft.Log
		err := m.log.GetLog(index, &entry)
		if errors.Is(err, raft.ErrLogNotFound) {
			break
		}
		must(t, err)
		lowest = entry
	}
	return lowest
}

// A follower that has taken the state over, but whose leader never hears of it, gets what comes
// after it anyway.
func TestSnapshotResponseIsLost(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	away := others[0]
	away.crash(t)
	fillLog(t, leader, "while away ", beyondTheLog)
	leader.cutLog(t)
	opened, lost := make(chan struct{}), make(chan struct{})
	away.machine.taken = sync.OnceFunc(func() {
		<-opened
		away.listener.guests.dropAll()
		close(lost)
	})
	away.start(t)
	close(opened)
	<-lost
	must(t, second(leader.Propose(limited(t), []byte("after"))))
	wantSame(t, members)
}

// A node whose log was cut goes on from what its machine holds durably.
func TestRestartBehindCutLog(t *testing.T) {
	members := startMembers(t, 1)
	only, _ := readyLeader(t, members)
	fillLog(t, only, "first ", beyondTheLog)
	only.cutLog(t)
	fillLog(t, only, "second ", 10)
	before := only.machine.bodies()
	only.crash(t)
	if held := len(only.machine.bodies()); held != beyondTheLog {
		t.Fatalf("after the crash the machine holds %d commands, want what it had at the snapshot", held)
	}
	only.start(t)
	readyLeader(t, members)
	if after := only.machine.bodies(); !slices.Equal(after, before) {
		t.Errorf("%d commands before the crash, %d after it", len(before), len(after))
	}
}

// Raft counts entries that no machine sees. Were they many, the log would be cut beyond what the
// machine says it holds, and no node could start again. So a leader that is ready has given its
// machine the newest entry.
func TestMachineKnowsLastIndex(t *testing.T) {
	members := startMembers(t, 1)
	only := members[0]
	for range 3 {
		readyLeader(t, members)
		if applied, last := only.machine.Applied(), only.raft.LastIndex(); applied != last {
			t.Errorf("the machine is at entry %d, the log at %d", applied, last)
		}
		only.crash(t)
		only.start(t)
	}
}

// What the state machine refuses never gets into the log.
func TestAdmit(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	for _, m := range members {
		m.machine.refuse = "bad"
	}
	for _, m := range []*member{leader, others[0]} {
		reply, err := m.Propose(limited(t), []byte("bad"))
		must(t, err)
		if string(reply) != "refused" {
			t.Errorf("reply %q", reply)
		}
	}
	must(t, second(others[0].Propose(limited(t), []byte("good"))))
	if got := leader.machine.bodies(); !slices.Equal(got, []string{"good"}) {
		t.Errorf("the machine holds %q", got)
	}
}

// A machine that fails ends its node: it is not asked again, and nobody hears that his command was
// applied.
func TestMachineFails(t *testing.T) {
	members := startMembers(t, 1)
	only, _ := readyLeader(t, members)
	only.stop(t)
	reason := make(chan error, 10)
	only.config.Fatal = func(err error) { reason <- err }
	only.machine.fail = "poison"
	only.start(t)
	readyLeader(t, members)
	proposed := make(chan error, 1)
	go func() { proposed <- second(only.Propose(limited(t), []byte("poison"))) }()
	t.Log(<-reason)
	only.stop(t)
	if err := <-proposed; err == nil {
		t.Error("the proposal succeeded")
	}
	if got := only.machine.bodies(); len(got) != 0 {
		t.Errorf("the machine went on to %q", got)
	}
}

// Each reply goes to its caller, and commands share entries.
func TestRepliesReachTheirCallers(t *testing.T) {
	members := startMembers(t, 1)
	only, _ := readyLeader(t, members)
	before := only.machine.entries
	const callers = 100
	replies := make(chan string, callers)
	for i := range callers {
		go func() {
			body := fmt.Append(nil, "from ", i)
			reply, err := only.Propose(limited(t), body)
			if err != nil {
				t.Error(err)
			}
			replies <- string(reply)
		}()
	}
	got := make(map[string]bool)
	for range callers {
		got[<-replies] = true
	}
	for i, body := range only.machine.bodies() {
		if want := replyTo([]byte(body), i+1); !got[want] {
			t.Errorf("nobody got %q", want)
		}
	}
	if entries := only.machine.entries - before; len(got) != callers || entries >= callers {
		t.Errorf("%d different replies to %d commands in %d entries", len(got), callers, entries)
	}
}

// A log that lies behind the store goes; one that leaves a gap to it is refused.
func TestReconcile(t *testing.T) {
	tests := map[string]struct {
		first, last, applied uint64
		refused              bool
		left                 uint64 // last index afterwards
	}{
		"both empty":                      {0, 0, 0, false, 0},
		"log alone":                       {1, 9, 0, false, 9},
		"log ahead":                       {1, 9, 5, false, 9},
		"log level":                       {1, 9, 9, false, 9},
		"log behind, from before":         {1, 9, 20, false, 0},
		"cut log, store right behind it":  {6, 9, 5, false, 9},
		"cut log, a gap before":           {7, 9, 5, true, 9},
		"cut log, store gone":             {2, 9, 0, true, 9},
		"state from a leader, log is new": {0, 0, 20, false, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			log := openFolderLog(t, t.TempDir())
			defer log.Close()
			for i := test.first; i <= test.last && i > 0; i++ {
				must(t, log.StoreLog(&raft.Log{Index: i}))
			}
			err := reconcile(log, &machine{image: image{Index: test.applied}})
			if (err != nil) != test.refused {
				t.Errorf("reconcile says %v", err)
			}
			last, err := log.LastIndex()
			must(t, err)
			if last != test.left {
				t.Errorf("the log ends at %d, want %d", last, test.left)
			}
		})
	}
}

// What a crash leaves of a state that a leader was sending does not stay.
func TestCleanRemovesReceived(t *testing.T) {
	dir := t.TempDir()
	must(t, Clean(dir)) // there is nothing
	log := raftlog.Dir(dir)
	must(t, os.MkdirAll(log, 0o700))
	must(t, os.WriteFile(receivedPath(log), []byte("half"), 0o600))
	must(t, Clean(dir))
	if left, err := os.ReadDir(log); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestStateWithoutRoom: a node that has no room for the state of the leader takes no entries after
// it, from no later leader either, and gets the state when there is room.
func TestStateWithoutRoom(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	away, other := others[0], others[1]
	rest := []*member{leader, other}
	must(t, away.Barrier(limited(t)))
	away.crash(t)
	fillLog(t, leader, "while away ", beyondTheLog)
	must(t, other.Barrier(limited(t)))
	leader.cutLog(t)
	other.cutLog(t)
	away.machine.full.Store(true)
	away.start(t)
	for i := range 4 {
		tried := away.machine.tried.Load()
		wait.For(t, "the state to be sent", func() bool { return away.machine.tried.Load() > tried })
		leader, _ = readyLeader(t, rest)
		must(t, leader.changer.handOver(nil))
		leader, _ = readyLeader(t, rest)
		must(t, second(leader.Propose(limited(t), fmt.Append(nil, "meanwhile ", i))))
	}
	if first, last, err := away.log.Bounds(); err != nil || last > 0 && first > away.machine.Applied()+1 {
		t.Errorf("its log has entries %d to %d, %v; its machine is at %d", first, last, err, away.machine.Applied())
	}
	away.machine.full.Store(false)
	wantSame(t, members)
}

// TestReceivedIsGivenBack: what was read of a received state no longer takes room, where the file
// system can do that, and all of it is read.
func TestReceivedIsGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "received.snapshot")
	content := bytes.Repeat([]byte("0123456789abcdef"), 5*freeStep/32)
	must(t, os.WriteFile(path, content, 0o600))
	_, file, err := (&snapshotStore{path: path}).Open(snapshotReceived)
	must(t, err)
	var read bytes.Buffer
	for part := make([]byte, 100_000); ; {
		n, err := file.Read(part)
		read.Write(part[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
	}
	if !bytes.Equal(read.Bytes(), content) {
		t.Error("other bytes were read")
	}
	var stat syscall.Stat_t
	must(t, syscall.Stat(path, &stat))
	if runtime.GOOS == "linux" && stat.Blocks*512 > freeStep {
		t.Errorf("%d bytes of %d are still taken", stat.Blocks*512, len(content))
	}
	must(t, file.Close())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is there")
	}
}
