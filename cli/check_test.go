package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestCheckErrors(t *testing.T) {
	empty, half, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "file")
	for _, folder := range []string{"restoring", "store", "raft"} { // see TestRestoreAgain
		if err := os.Mkdir(filepath.Join(half, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
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
		"half restored":      {[]string{half}, "what a restore has left that did not finish"},
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
