package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hookwheel/cluster"
	"hookwheel/config"
)

func TestLogFormat(t *testing.T) {
	var out bytes.Buffer
	c := config.Default()
	newLog(&out, &c, slog.LevelInfo).Info("text", "a", 1)
	if !strings.Contains(out.String(), "msg=text node=n1 a=1") {
		t.Errorf("text: %s", &out)
	}
	out.Reset()
	c.LogJSON = true
	newLog(&out, &c, slog.LevelInfo).Info("two\nlines")
	var line struct{ Msg, Node string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "two\nlines" || line.Node != "n1" {
		t.Errorf("JSON: %s, %v", &out, err)
	}
}

// A restore that was cut short is not taken for a new node.
func TestStartRefusesHalfRestored(t *testing.T) {
	c := config.Default()
	c.Data = t.TempDir()
	if err := os.Mkdir(filepath.Join(c.Data, Restoring), 0o700); err != nil {
		t.Fatal(err)
	}
	n, err := Start(c, "test", slog.New(slog.DiscardHandler))
	if err == nil {
		_ = n.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "hookwheel restore") {
		t.Errorf("Start: %v", err)
	}
	if entries, err := os.ReadDir(c.Data); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

// One that was cut short at its very end is complete.
func TestStartAfterRestoreThatWasMoved(t *testing.T) {
	data := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(data, Restoring), 0o700), os.WriteFile(filepath.Join(data, cluster.IdentityFile), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := RefuseHalfRestored(data); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(data); err != nil || len(entries) != 2 {
		t.Errorf("looking at it has changed the folder: %v, %v", entries, err)
	}
	c := config.Default()
	c.Data = data
	if n, err := Start(c, "test", slog.New(slog.DiscardHandler)); err == nil { // the file is empty
		_ = n.Close()
	}
	if _, err := os.Stat(filepath.Join(data, Restoring)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder stays: %v", err)
	}
}
