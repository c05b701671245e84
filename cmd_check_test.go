package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hookwheel/wal"
)

// runCheck is "hookwheel check" with these arguments.
func runCheck(t *testing.T, args ...string) (report string, err error) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := newCheckCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// checkFolders is how a test ends that has had nodes running, which by now are stopped: their data folders must hold what the
// checker wants, and if there are several, the same state.
func checkFolders(t *testing.T, folders ...string) {
	t.Helper()
	args := folders
	if len(folders) > 1 {
		args = append([]string{"--compare", "--temp", t.TempDir()}, folders...)
	}
	if report, err := runCheck(t, args...); err != nil {
		t.Errorf("check: %v\n%s", err, report)
	}
}

// folders are the data folders of the nodes.
func (c *devCluster) folders() (list []string) {
	for node := 1; node <= clusterSize; node++ {
		list = append(list, filepath.Join(c.data, "n"+strconv.Itoa(node)))
	}
	return list
}

// killForGood kills all nodes and what would start them again.
func (c *devCluster) killForGood(t *testing.T) {
	t.Helper()
	pids := []int{c.process.cmd.Process.Pid}
	for node := 1; node <= clusterSize; node++ {
		pids = append(pids, c.pid(node))
	}
	c.process.mayCrash = true
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	<-c.process.ended
}

// The folders of a cluster that was killed in the middle of its work are in order, and the same once they are brought to one
// entry.
func TestCheckCluster(t *testing.T) {
	up, down := newReceiver(t), newReceiver(t)
	down.down.Store(true)
	c := startDevCluster(t)
	c.setUp(t, "up", up.url)
	c.setUp(t, "down", down.url)
	l := newLedger()
	producing := startLoad(t, c.caller, l)
	awaitMore(t, l)
	if report, err := runCheck(t, c.folders()[0]); err == nil || !strings.Contains(report, "is in use by a running node") {
		t.Errorf("of a running node: %v\n%s", err, report)
	}
	c.killForGood(t)
	producing.stop()
	checkFolders(t, c.folders()...)
	checkReportOf(t, c.folders())
	checkOthers(t, c.folders()[0])
}

// checkReportOf reads the report as a program would.
func checkReportOf(t *testing.T, folders []string) {
	t.Helper()
	text, err := runCheck(t, append([]string{"--compare", "--json"}, folders...)...)
	if err != nil {
		t.Fatal(err)
	}
	var report checkReport
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if !report.OK || len(report.Folders) != clusterSize || !report.Comparison.Same {
		t.Errorf("report %s", text)
	}
	for _, f := range report.Folders {
		if f.Store.Messages < loadBetween || f.Store.Attempts == 0 || f.Store.Records["retries"] == 0 || f.Log.Commands == 0 {
			t.Errorf("%s holds too little: %+v %+v", f.Folder, f.Store, f.Log)
		}
	}
}

// checkOthers compares a folder with what became of it elsewhere.
func checkOthers(t *testing.T, folder string) {
	t.Helper()
	one, other := cloneFolder(t, folder), cloneFolder(t, folder)
	applyOne(t, one, []byte{6, 1}) // an entry that no log has
	report, err := runCheck(t, "--compare", one, folder)
	if err == nil || !strings.Contains(report, "CAN'T BE TOLD") || !strings.Contains(report, settleAdvice) {
		t.Errorf("with one that is ahead: %v\n%s", err, report)
	}
	applyOne(t, other, nil)
	report, err = runCheck(t, "--compare", one, other)
	if err == nil || !strings.Contains(report, "THEY HOLD DIFFERENT STATES") || !strings.Contains(report, "(requests) is only in "+one) {
		t.Errorf("with another state: %v\n%s", err, report)
	}
}

func cloneFolder(t *testing.T, folder string) string {
	t.Helper()
	clone := t.TempDir()
	if err := copyFolder(folder, clone); err != nil {
		t.Fatal(err)
	}
	return clone
}

// applyOne applies an entry with one command, or with none, far beyond the end of the log.
func applyOne(t *testing.T, folder string, body []byte) {
	t.Helper()
	s, err := wal.Open(wal.Config{Dir: storeFolder(folder), MinFree: 1, Logger: quietLogger(os.Stderr), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	var commands []wal.Command
	if body != nil {
		commands = append(commands, wal.Command{Request: [16]byte{1}, Body: body})
	}
	if _, err := s.Apply(s.Applied()+1000, s.State().Term, 0, commands); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCheckErrors(t *testing.T) {
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want string
	}{
		"no data folder":     {[]string{empty}, "is not the data folder of a node"},
		"missing":            {[]string{filepath.Join(empty, "gone")}, "is not the data folder of a node"},
		"a file":             {[]string{file}, "is not the data folder of a node"},
		"nothing to compare": {[]string{"--compare", empty}, "needs the folders of two nodes"},
		"nothing":            {nil, "requires at least 1 arg"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			report, err := runCheck(t, test.args...)
			if err == nil || !strings.Contains(report+err.Error(), test.want) {
				t.Errorf("got %v\n%s\nwant %q", err, report, test.want)
			}
		})
	}
	if entries, err := os.ReadDir(empty); err != nil || len(entries) > 0 {
		t.Errorf("the check made %v, %v", entries, err)
	}
}
