package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// A node that is told to stop logs none of the connections that Raft then finds closed.
func TestRaftLinesWhileStopping(t *testing.T) {
	var text bytes.Buffer
	closing, closeNode := context.WithCancel(t.Context())
	log := raftLogger(closing, slog.New(slog.NewTextHandler(&text, nil)))
	log.Error("failed to appendEntries")
	if !strings.Contains(text.String(), `level=WARN msg="failed to appendEntries"`) {
		t.Errorf("while the node runs: %s", &text)
	}
	text.Reset()
	closeNode()
	log.Warn("failed to decode incoming command")
	log.Error("failed to heartbeat")
	if text.Len() > 0 {
		t.Errorf("while the node stops: %s", &text)
	}
}

func TestJoinOnce(t *testing.T) {
	for want, problems := range map[string][]error{
		"EOF":                           {io.EOF},
		"n1 refuses; EOF":               {errors.New("n1 refuses"), io.EOF, errors.New("n1 refuses")},
		"EOF; n1 refuses; n2 is silent": {io.EOF, errors.New("n1 refuses"), io.EOF, errors.New("n2 is silent")},
	} {
		if got := joinOnce(problems); got.Error() != want || !errors.Is(got, io.EOF) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := joinOnce(nil); err != nil {
		t.Error(err)
	}
}
