package abuse

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// What is different for a node that is alone: it listens for nobody, may open few files.
var nodeAbuses = []abuse{
	{"ports other than the API's", openPorts, nil},
	{"too few descriptors", fewDescriptors, nil},
	{"more than the disk is to hold", overfill, []int{201, 202, 429, 503, 507}},
	{"endpoints that become large", growingEndpoints, []int{200, 201, 400, 404, 507}},
}

const listening = "0A" // in /proc/net/tcp

func openPorts(w *world) {
	n := w.nodes[0]
	sockets := make(map[string]bool)
	files, err := os.ReadDir(n.proc("fd"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, file := range files {
		target, err := os.Readlink(filepath.Join(n.proc("fd"), file.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	var found []string
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		text, err := os.ReadFile(n.proc(table))
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if f := strings.Fields(string(line)); len(f) > 9 && f[3] == listening && sockets[f[9]] {
				found = append(found, f[1])
			}
		}
	}
	if len(found) != 1 || !strings.HasPrefix(found[0], "0100007F:") {
		w.t.Errorf("the node listens at %v, want the API's port of 127.0.0.1 alone", found)
	}
}

// A node that would have too few for its store says so, and how to give it more, instead of ending
// some day.
func fewDescriptors(w *world) {
	dir := w.t.TempDir()
	args := process.Command(process.Context(w.t), "dev", "--data", dir, "--listen", process.NodeAddress(process.FreePorts(w.t, 1), 1), "--token", rootToken).Args
	cmd := exec.CommandContext(process.Context(w.t), "sh", append([]string{"-c", `ulimit -n 400; exec "$@"`, "sh"}, args...)...)
	cmd.Env = w.nodes[0].process.Cmd.Env
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ulimit -n") {
		w.t.Errorf("with 400 descriptors: %v\n%s", err, out)
	}
}

// What docs/operations.md says that a node's folder may take of the disk, in bytes.
const (
	folderLimit = maxSize*5/2 + 512<<20
	folderRest  = 128<<20 + maxSize/2 + logSize + tablesSize // when all is deleted and others go on to send
	logSize     = 32 << 20
	tablesSize  = 64 << 20 // which the store has under way
)

// overfill sends and delivers some times as much as max_size: what is old makes room.
func overfill(w *world) {
	n, c, receiver := w.nodes[0], w.customer(), receivertest.Start(w.t, nil)
	w.endpoints(c, 1, receiver.URL)
	var largest int64
	over, wg := make(chan struct{}), sync.WaitGroup{}
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			largest = max(largest, n.folder(w))
			select {
			case <-tick.C:
			case <-over:
				return
			}
		}
	})
	const size = 980_000
	event := `{"eventType": "a.b", "payload": {"pad": "` + strings.Repeat("x", size) + `"}}`
	sent, times := atomic.Int64{}, long(2, 4)
	each(4, times*maxSize/size, func(int) {
		if r := w.attack(w.producer, "POST", c.path("/msg"), event); r.status == http.StatusAccepted {
			sent.Add(1)
		}
	})
	wait.For(w.t, "all of it was delivered", func() bool { return len(receiver.Arrivals()) >= int(sent.Load()) })
	close(over)
	wg.Wait()
	if largest > folderLimit {
		w.t.Errorf("the folder took %d MiB", largest>>20)
	}
	if sent.Load()*size < int64(times)*maxSize/2 {
		w.t.Errorf("only %d events were taken", sent.Load())
	}
	w.leave(c)
	wait.For(w.t, "what was deleted leaves the disk", func() bool { return n.folder(w) < folderRest })
}

// folder is what the node's folder takes of the disk.
func (n *node) folder(w *world) (size int64) {
	err := filepath.WalkDir(n.data, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreMissing(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		size += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return size
}

// ignoreMissing is for files that the store has just removed.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
