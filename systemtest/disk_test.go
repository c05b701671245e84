//go:build linux

package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

const (
	diskSize     = "700m"
	diskMinFree  = "400MiB"
	diskNearFull = 300 << 20 // bytes left: less than diskMinFree
	diskBatch    = 200       // events
	fullPause    = 3 * time.Second
)

// diskNode is a node whose data is on a small file system of its own.
type diskNode struct {
	*process.Process
	*caller
	disk   string
	config string
}

// startDiskNode needs to be root.
func startDiskNode(t *testing.T) *diskNode {
	t.Helper()
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+diskSize); err != nil {
		t.Skipf("mounting a small file system: %v; this test needs root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmounting %s: %v", disk, err)
		}
	})
	port := process.FreePorts(t, 1)
	config := writeConfig(t, fmt.Sprintf(`
node      = "n1"
data      = %q
log_level = "warn"
api {
  listen = %q
  token  = %q
}
cluster {
  peer "n1" { address = %q }
}
storage {
  min_free = %q
}
delivery {
  allow = ["127.0.0.0/8"]
  retry {
    base        = "1s"
    factor      = 1
    max_retries = 100
    jitter      = 0
  }
}
`, filepath.Join(disk, "data"), process.NodeAddress(port, 1), systemToken, process.PeerAddress(port, 1), diskMinFree))
	n := &diskNode{caller: newCaller(t, port, 1), disk: disk, config: config}
	n.start(t)
	return n
}

func (n *diskNode) start(t *testing.T) {
	t.Helper()
	n.Process = process.Start(t, "serve", "--config", n.config)
	n.awaitStatus(t, "ok")
}

func (n *diskNode) free(t *testing.T) int64 {
	t.Helper()
	var stat syscall.Statfs_t
	if err := syscall.Statfs(n.disk, &stat); err != nil {
		t.Fatal(err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize)
}

// fill writes a file that leaves so many bytes free; with 0 not one more can be written.
func (n *diskNode) fill(t *testing.T, leave int64) {
	t.Helper()
	ballast, err := os.Create(n.ballast())
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if n.free(t) <= leave && leave > 0 {
			return
		}
		if _, err := ballast.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2] // the last bytes, too
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func (n *diskNode) ballast() string { return filepath.Join(n.disk, "ballast") }

func (n *diskNode) makeRoom(t *testing.T) {
	t.Helper()
	if err := os.Remove(n.ballast()); err != nil {
		t.Fatal(err)
	}
}

func (n *diskNode) awaitStatus(t *testing.T, status string) {
	t.Helper()
	wait.For(t, "the node's status is "+status, func() bool {
		if !n.IsAlive() {
			t.Fatalf("the node has ended: %v", n.Cmd.ProcessState)
		}
		return n.health(1).Status == status
	})
}

// mustRefuse posts an event, for which there must be no room, and checks that the answer is one to
// act upon.
func (n *diskNode) mustRefuse(t *testing.T, l *ledger) {
	t.Helper()
	r := l.post(n.caller, 1)
	var refusal struct{ Code, Detail string }
	if r.status != http.StatusInsufficientStorage || json.Unmarshal(r.body, &refusal) != nil ||
		refusal.Code != string(webhook.CodeNoSpace) || refusal.Detail == "" || r.header.Get("Retry-After") == "" {
		t.Errorf("posting with a full disk: got %d %s, Retry-After %q; want 507 with code %s and a Retry-After",
			r.status, r.body, r.header.Get("Retry-After"), webhook.CodeNoSpace)
	}
}

func (n *diskNode) mustPostMany(t *testing.T, l *ledger) {
	t.Helper()
	for range diskBatch {
		l.mustPost(t, n.caller, 1)
	}
}

// TestFullDisk: below the watermark new events are refused, while what was accepted is delivered.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLedger()
	n := startDiskNode(t)
	n.setUp(t, "first", r.url)
	r.down.Store(true)
	n.mustPostMany(t, l)
	t.Logf("%d MiB free with %d events", n.free(t)>>20, diskBatch)

	n.fill(t, diskNearFull)
	n.awaitStatus(t, "full")
	n.mustRefuse(t, l)
	r.down.Store(false)
	checkDelivered(t, l, r)
	n.mustRefuse(t, l)
	if !n.IsAlive() {
		t.Fatal("the node has ended")
	}

	n.makeRoom(t)
	n.awaitStatus(t, "ok")
	n.mustPostMany(t, l)
	checkDelivered(t, l, r)
}

// TestFullDiskIdle: somebody else fills the disk to the last byte while the node has nothing to
// write.
func TestFullDiskIdle(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLedger()
	n := startDiskNode(t)
	n.setUp(t, "first", r.url)
	n.mustPostMany(t, l)
	checkDelivered(t, l, r)
	n.awaitIdle(t, l)

	n.fill(t, 0)
	t.Logf("%d bytes free", n.free(t))
	n.awaitStatus(t, "full")
	n.mustRefuse(t, l)
	time.Sleep(fullPause)
	n.mustRefuse(t, l)

	n.Stop(t) // cleanly, though closing the store would write
	if report, err := runCheck(t, filepath.Join(n.disk, "data")); err == nil || !strings.Contains(report, "make room") {
		t.Errorf("check on a full disk: %v\n%s", err, report)
	}
	n.makeRoom(t)
	n.start(t)
	n.mustPostMany(t, l)
	checkDelivered(t, l, r)
}

// awaitIdle waits until the last attempt is recorded, for then the node has nothing left to write.
func (n *diskNode) awaitIdle(t *testing.T, l *ledger) {
	t.Helper()
	last := l.acknowledged[l.sent-1]
	wait.For(t, "the last attempt is recorded", func() bool {
		var attempts attemptList
		n.must(t, 1, "GET", "/app/demo/attempt/msg/"+last, "", 200, &attempts)
		return len(attempts.Data) > 0
	})
	time.Sleep(fullPause) // what is applied is made durable a moment later
}

// TestFullDiskBusy: somebody else fills the disk to the last byte while attempts are made and
// recorded. The node may end: Badger writes through memory maps, and the kernel kills a process
// that does so on a full disk. Nothing may be lost.
func TestFullDiskBusy(t *testing.T) {
	t.Parallel()
	r, l := newReceiver(t), newLedger()
	n := startDiskNode(t)
	n.MayCrash = true
	n.setUp(t, "first", r.url)
	r.down.Store(true)
	n.mustPostMany(t, l)

	n.fill(t, 0)
	t.Logf("when the disk is full: %s", n.watch())
	if !n.IsAlive() { // whoever looks after it starts it again, though the disk is still full
		n.Process = process.Start(t, "serve", "--config", n.config)
		n.MayCrash = true
		t.Logf("started again on the full disk: %s", n.watch())
	}

	n.makeRoom(t)
	r.down.Store(false)
	if n.IsAlive() {
		n.Stop(t)
	}
	n.start(t)
	n.mustPostMany(t, l)
	checkDelivered(t, l, r)
}

// endReason is the line of a log that says why a node has ended.
var endReason = regexp.MustCompile(`.*(can't go on|\[signal |no space left).*`)

// watch says what becomes of the node in the next seconds.
func (n *diskNode) watch() string {
	select {
	case <-n.Ended:
		text, err := os.ReadFile(n.Log)
		return fmt.Sprintf("it has ended: %v: %q, %v", n.Cmd.ProcessState, endReason.Find(text), err)
	case <-time.After(2 * fullPause):
		return "it goes on, and is " + n.health(1).Status
	}
}
