package abuse

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hookwheel/systemtest/process"
)

// What is different for a node that is alone: it listens for nobody, may open few files.
var nodeAbuses = []abuse{
	{"ports other than the API's", openPorts, nil},
	{"too few descriptors", fewDescriptors, nil},
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

// A node that would have too few for its store says so, and how to give it more, instead of ending some day.
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
