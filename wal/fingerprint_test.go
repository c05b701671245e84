package wal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// awaitFingerprint waits until a store has the fingerprint as of an entry.
func awaitFingerprint(t *testing.T, s *Store, index uint64) string {
	t.Helper()
	sum := ""
	wait.For(t, fmt.Sprintf("the fingerprint as of entry %d", index), func() bool {
		var got uint64
		got, sum, _ = s.Fingerprint()
		return got == index
	})
	return sum
}

// sumOf is the fingerprint of what a snapshot holds.
func sumOf(snapshot []byte) string {
	const end = 1 + 8 + 4 // an empty key, the number of records, the sum
	sum := sha256.Sum256(snapshot[len(snapshotMagic) : len(snapshot)-end])
	return hex.EncodeToString(sum[:])
}

// The fingerprint is that of the state at its very entry, whatever is staged before and applied
// after, and it is the same for a node that was moved, for a snapshot and for a folder that is
// checked.
func TestFingerprint(t *testing.T) {
	c := newScript(t, seeded(t).Int63(), 120)
	dir := memdir.New(t)
	s, moved := openTest(t, dir), closing(t, openTest(t, memdir.New(t)))
	if index, sum, _ := s.Fingerprint(); index != 0 || sum != "" {
		t.Errorf("a new store has the fingerprint %d %q", index, sum)
	}
	for i := range c.entries {
		applyEntry(t, s, c.entries, i)
		if i == 60 {
			if err := moved.RestoreSnapshot(bytes.NewReader(content(t, s))); err != nil {
				t.Fatal(err)
			}
		} else if i > 60 {
			applyEntry(t, moved, c.entries, i)
		}
	}
	index, err := NewWriter(direct{s, 1}).Fingerprint(t.Context())
	if err != nil || index != s.Applied() {
		t.Fatalf("asked for entry %d, %v", index, err)
	}
	want := sumOf(content(t, s))
	if _, err := NewWriter(direct{moved, 1}).Fingerprint(t.Context()); err != nil {
		t.Fatal(err)
	}
	applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: c.app, EventType: "late"}))
	for _, store := range []*Store{s, moved} {
		if got := awaitFingerprint(t, store, index); got != want {
			t.Errorf("fingerprint %s, want %s", got, want)
		}
	}
	now := sumOf(content(t, s))
	if now == want {
		t.Error("another state has the same fingerprint")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(dir, CheckOptions{})
	if err != nil || report.Fingerprint != now || report.Index != index+1 {
		t.Errorf("the check says %+v, %v; want %s", report, err, now)
	}
}

// Of many that are asked for at once the newest is made, old versions are let go, and no more wait
// than one.
func TestFingerprintsInARow(t *testing.T) {
	s, w, app, _ := newWorld(t)
	for range 20 {
		applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 100_000)}))
	}
	var last uint64
	for range 30 {
		index, err := w.Fingerprint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last = index
	}
	if got, want := awaitFingerprint(t, s, last), sumOf(content(t, s)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	wait.For(t, "no version to be kept", func() bool {
		s.snapshots.mu.Lock()
		defer s.snapshots.mu.Unlock()
		return len(s.snapshots.readers) == 0
	})
}

// A store that is replaced or closed does not wait for its fingerprint.
func TestFingerprintIsLeft(t *testing.T) {
	from, _, app, _ := newWorld(t)
	for range 200 {
		applyList(t, from, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 200_000)}))
	}
	snapshot := content(t, from)
	s := openTest(t, memdir.New(t))
	for range 2 {
		if err := s.RestoreSnapshot(bytes.NewReader(snapshot)); err != nil {
			t.Fatal(err)
		}
		if _, err := NewWriter(direct{s, 1}).Fingerprint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
