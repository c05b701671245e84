package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain makes the test's program a relay, too, if its first argument says so.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "relay" {
		os.Exit(m.Run())
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := Relay(ctx, "127.0.0.1:0", strings.Join(os.Args[2:], ""), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestRunWithRelays(t *testing.T) {
	if folder := t.TempDir(); inMemory(folder) {
		t.Skipf("%s is in memory", folder)
	} else {
		t.Setenv("TMPDIR", folder)
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // with the race detector, a process sleeps a second before it ends
	const events = 400
	load := newTestLoad(newTestSink(t, 2, events), newFakeNode(t).url)
	load.Relay = []string{os.Args[0], "relay"}
	report, err := load.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Relays) != 2 || report.Relays[0].Log || !report.Relays[1].Log {
		t.Fatalf("relays %+v", report.Relays)
	}
	load.Batch = 20
	batches, err := load.measureRelay(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	batches.Ratio = 1 // which is for the report to know
	for _, relay := range append(report.Relays, *batches) {
		if relay.Accepted != events || relay.Delivered != 2*events || relay.Ratio <= 0 || relay.Arrival.P50 <= 0 {
			t.Errorf("relay %+v", relay)
		}
		if relay.Usage == nil || relay.Usage.Nodes != 1 || relay.Usage.Resident == 0 {
			t.Errorf("the relay's use %+v", relay.Usage)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}

func TestRelayDoesNotStart(t *testing.T) {
	load := newTestLoad(newTestSink(t, 1, 10), newFakeNode(t).url)
	for _, command := range [][]string{{filepath.Join(t.TempDir(), "no such program")}, {"true"}} {
		load.Relay = command
		if _, err := load.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "relay") {
			t.Errorf("%q: %v", command, err)
		}
	}
	if err := Relay(t.Context(), "127.0.0.1:0", filepath.Join(t.TempDir(), "no such folder", "log"), io.Discard); err == nil {
		t.Error("a relay has a log in a folder that does not exist")
	}
}

// What a relay's log has taken is in the file when the sync returns, many requests in one group.
func TestRelayLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	l, err := newRelayLog(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := l.append([]byte(strings.Repeat("x", i))); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := appendLogged(appendLogged(appendLogged(nil, nil), []byte("x")), []byte("xx"))
	if len(text) != relayLogSize || !bytes.HasPrefix(text, want) {
		t.Errorf("%q, want %q", text[:len(want)], want)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("the file is left")
	}
}
