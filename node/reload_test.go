package node

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"hookwheel/config"
)

// SIGHUP ends a node without a configuration to read again, as "hookwheel dev" is.
func TestCatchHangups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	if err := os.WriteFile(path, []byte("api {\n token = \"0123456789abcdef\"\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	other := config.Default()
	none := catchHangups(&other) // first: the process would end if nobody caught the signal
	hangups := catchHangups(&loaded)
	defer signal.Stop(hangups)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-hangups
	if len(none) != 0 {
		t.Error("a node whose configuration can't be read again catches SIGHUP")
	}
}
