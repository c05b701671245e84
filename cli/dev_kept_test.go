package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What another user has put into the folder is not used as a token.
func TestDevRefusesFilesOfOthers(t *testing.T) {
	o := devOptions{data: t.TempDir()}
	first, err := o.kept("token", 16)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := o.kept("token", 16); err != nil || again != first {
		t.Errorf("it was %q and is %q, %v", first, again, err)
	}
	known := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(known, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(known, filepath.Join(o.data, "link")); err != nil {
		t.Fatal(err)
	}
	if got, err := o.kept("link", 16); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a link: %q, %v", got, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	if err := os.Chown(filepath.Join(o.data, "token"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if got, err := o.kept("token", 16); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a file of another user: %q, %v", got, err)
	}
}
