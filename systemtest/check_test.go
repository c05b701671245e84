package systemtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"hookwheel/cli"
	"hookwheel/wal"
)

// runCheck is "hookwheel check" with these arguments.
func runCheck(t *testing.T, args ...string) (report string, err error) {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := cli.New("test")
	cmd.SetArgs(append([]string{"check"}, args...))
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// checkFolders is how a test ends that has had nodes running, which by now are stopped: their data
// folders must hold what the checker wants, and if there are several, the same state.
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
	pids := []int{c.Process.Cmd.Process.Pid}
	for node := 1; node <= clusterSize; node++ {
		pids = append(pids, c.pid(node))
	}
	c.Process.MayCrash = true
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	<-c.Process.Ended
}

// The folders of a cluster that was killed in the middle of its work are in order, and the same
// once they are brought to one entry.
func TestCheckCluster(t *testing.T) {
	t.Parallel()
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
	var report struct {
		OK      bool
		Folders []struct {
			Folder string
			Store  *wal.Report
			Log    struct{ Commands int }
		}
		Comparison struct{ Same bool }
	}
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
	if err == nil || !strings.Contains(report, "NOT COMPARED") || !strings.Contains(report, "start the nodes, wait until they have applied the same entry") {
		t.Errorf("with one that is ahead: %v\n%s", err, report)
	}
	applyOne(t, other, nil)
	report, err = runCheck(t, "--compare", one, other)
	if err == nil || !strings.Contains(report, "THE FOLDERS HOLD DIFFERENT STATES") || !strings.Contains(report, "(requests) is only in "+one) {
		t.Errorf("with another state: %v\n%s", err, report)
	}
}

func cloneFolder(t *testing.T, folder string) string {
	t.Helper()
	clone := t.TempDir()
	if err := os.CopyFS(clone, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return clone
}

// applyOne applies an entry with one command, or with none, far beyond the end of the log.
func applyOne(t *testing.T, folder string, body []byte) {
	t.Helper()
	s, err := wal.Open(wal.Config{Dir: filepath.Join(folder, "store"), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
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
