package systemtest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// command runs hookwheel to its end.
func command(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errors bytes.Buffer
	cmd := process.Command(process.Context(t), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errors
	err = cmd.Run()
	return out.String(), errors.String(), err
}

// A cluster that is lost with all its nodes lives again from a backup: what was pending is
// delivered, to whom it was pending only.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	up, down := newReceiver(t), newReceiver(t)
	down.down.Store(true)
	port := process.FreePorts(t, clusterSize)
	c := newCaller(t, port, clusterSize)
	var old [clusterSize + 1]*process.Process
	for node := 1; node <= clusterSize; node++ {
		old[node] = process.Start(t, "serve", "--config", serveConfig(t, node, port, t.TempDir()))
	}
	leader := c.awaitHealth(t, 1, 2, 3)
	c.setUp(t, "up", up.url)
	c.setUp(t, "down", down.url)
	l := newLedger()
	for range 40 {
		l.mustPost(t, c, leader)
	}
	checkDelivered(t, l, up)
	wait.For(t, "the endpoint that is down has been tried", func() bool {
		r, err := c.call(leader, "GET", "/app/demo/attempt/endpoint/down?limit=250", "")
		return err == nil && strings.Contains(string(r.body), "atmpt_") // not each: it gets parked
	})

	file := filepath.Join(t.TempDir(), "b.backup")
	backup := []string{"backup", "--url", c.nodes[leader%clusterSize], "--token", systemToken}
	if _, said, err := command(t, nil, append(backup, "--output", file)...); err != nil || !strings.Contains(said, "Backup complete") {
		t.Fatalf("backup: %v\n%s", err, said)
	}
	if _, said, err := command(t, nil, append(backup, "--output", file)...); err == nil || !strings.Contains(said, "already exists") {
		t.Errorf("a file was overwritten: %v\n%s", err, said)
	}
	piped, said, err := command(t, nil, backup...)
	if err != nil || !strings.HasPrefix(piped, "hookwheel backup 1\n") {
		t.Errorf("to standard output: %v\n%s", err, said)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("found beside the backup: %v, %v", left, err)
	}
	for _, p := range old[1:] {
		p.Stop(t)
	}

	configs := make([]string, clusterSize+1)
	for node := range configs[1:] {
		configs[node+1] = serveConfig(t, node+1, port, filepath.Join(t.TempDir(), "new"))
	}
	if _, said, err := command(t, strings.NewReader(piped[:len(piped)-100]), "restore", "--config", configs[1], "-"); err == nil || !strings.Contains(said, "cut short") {
		t.Errorf("a backup that is cut short was restored: %v\n%s", err, said)
	}
	if _, said, err := command(t, nil, "restore", "--config", configs[1], file); err != nil {
		t.Fatalf("restore: %v\n%s", err, said)
	}
	if _, said, err := command(t, nil, "restore", "--config", configs[1], file); err == nil || !strings.Contains(said, "is not empty") {
		t.Errorf("restored into a folder that is not empty: %v\n%s", err, said)
	}
	before, _ := up.count()
	down.down.Store(false)
	process.Start(t, "serve", "--config", configs[1])
	c.awaitHealth(t, 1)
	process.Start(t, "serve", "--config", configs[2])
	process.Start(t, "serve", "--config", configs[3])
	c.awaitHealth(t, 1, 2, 3)
	checkDelivered(t, l, down)
	l.mustPost(t, c, 2)
	checkDelivered(t, l, up)
	if after, duplicates := up.count(); after != before+1 || duplicates > 0 {
		t.Errorf("what was delivered before the backup came again: %d events before, %d after, %d duplicates", before, after, duplicates)
	}
}
