package wal

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// TestMoveBlobs deletes most values of a file. The others are moved, with the next entry, and the
// file is removed; the state stays as it is.
func TestMoveBlobs(t *testing.T) {
	s, w, app, _ := newWorld(t)
	ids := createLarge(t, w, app.ID, 160, 1<<20) // more than two files
	expungeBut(t, w, app.ID, ids, 8)
	before := content(t, s)
	r := &reclaimer{store: s}
	if err := r.tidyBlobs(); err != nil {
		t.Fatal(err)
	}
	if size, live := s.db.blobs.Usage(); size < 100<<20 || live > 30<<20 {
		t.Fatalf("%d bytes of %d are in use", live, size)
	}
	if !bytes.Equal(content(t, s), before) {
		t.Error("the state has changed without an entry")
	}
	wait.For(t, "the values in use are moved", func() bool {
		applyNothing(t, w, app.ID, ids[0])
		if err := r.tidyBlobs(); err != nil {
			t.Fatal(err)
		}
		size, live := s.db.blobs.Usage()
		return size <= 2*live+fileSlack
	})
	for i := 0; i < len(ids); i += 8 {
		wantLarge(t, s, app.ID, ids, i, 1<<20)
	}
}

const fileSlack = 66 << 20 // bytes: of the newest file, which is not moved

// TestSpaceOfIdleStore deletes most of what is in the files, the newest one included, of a store to
// which nothing else happens: the leader proposes entries until the space is given back, and then
// no more.
func TestSpaceOfIdleStore(t *testing.T) {
	s, w, app, _ := newWorld(t)
	ids := createLarge(t, w, app.ID, 100, 1<<20) // one file and a half
	expungeBut(t, w, app.ID, ids, 10)
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	r := &reclaimer{store: s, applied: s.Applied()}
	given := func() bool {
		size, live := s.db.blobs.Usage()
		return size <= live+live/8+idleGarbage
	}
	more := true
	for turn := 0; turn < 1000 && (more || !given()); turn++ {
		var err error
		if more, err = NewCleaner(s, w).Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.tidyBlobs(); err != nil {
			t.Fatal(err)
		}
		if !more {
			r.applied = s.Applied() // as another second of nothing would
		}
	}
	if size, live := s.db.blobs.Usage(); !given() || live < 10<<20 || more {
		t.Errorf("%d bytes of %d are in use; there are more entries: %t", live, size, more)
	}
	for i := 0; i < len(ids); i += 10 {
		wantLarge(t, s, app.ID, ids, i, 1<<20)
	}
}

// TestCrashWhileMoving ends commits that move values between any two of their transactions: the
// state is what it was, and so is what is in use. Then the values are moved, and their
// file is gone.
func TestCrashWhileMoving(t *testing.T) {
	dir := memdir.New(t)
	s := openSplit(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	ids := createLarge(t, w, app.ID, 900, minBlob)
	if err := errors.Join(s.Commit(), w.ExpungeMessage(t.Context(), app.ID, ids[0])); err != nil {
		t.Fatal(err)
	}
	crashes := 0
	for after := 0; ; after++ {
		before := content(t, s)
		blobsInUse(t, s)
		s.db.blobs.Emptiest() // so that values are not moved within the first file
		m := move{db: s.db, file: 1}
		values, _, err := m.read(s)
		if err != nil || len(values) == 0 {
			t.Fatalf("%d values are read: %v", len(values), err)
		}
		failCommits(s, after)
		s.Ready(0) // nothing is being committed
		applyNothing(t, NewWriter(direct{s, 1}), app.ID, ids[0])
		moved, err := s.pending.rewrite(s.db, values)
		if err == nil {
			if !moved {
				continue // the entry was committed by itself
			}
			for i := 1; i < len(ids); i++ {
				wantLarge(t, s, app.ID, ids, i, minBlob)
			}
			if want, counted := blobsInUse(t, s); want != counted {
				t.Errorf("%d bytes are counted as in use, want %d", counted, want)
			}
			break
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		crashes++
		if s, _ = crashInCommit(t, s, dir, after); !bytes.Equal(content(t, s), before) {
			t.Fatalf("after a crash behind %d transactions the state has changed", after+1)
		}
		if want, counted := blobsInUse(t, s); want != counted || counted < 900*minBlob {
			t.Fatalf("after a crash behind %d transactions %d bytes are counted as in use, want %d", after+1, counted, want)
		}
	}
	if crashes < 2 {
		t.Errorf("only %d commits were cut short", crashes)
	}
	if names := blobsIn(t, s); len(names) != 1 || filepath.Base(names[0]) == "00000001.blob" {
		t.Errorf("the files are %q", names)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// createLarge creates messages of so many bytes; each has a payload of its own, see wantLarge.
func createLarge(t *testing.T, w *Writer, app webhook.ID, count, size int) (ids []webhook.ID) {
	t.Helper()
	for i := range count {
		m := &webhook.Message{App: app, EventType: "a", Payload: bytes.Repeat([]byte{byte(i)}, size)}
		id, err := w.CreateMessage(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// expungeBut expunges all of these messages but each n-th.
func expungeBut(t *testing.T, w *Writer, app webhook.ID, ids []webhook.ID, n int) {
	t.Helper()
	for i, id := range ids {
		if i%n == 0 {
			continue
		}
		if err := w.ExpungeMessage(t.Context(), app, id); err != nil {
			t.Fatal(err)
		}
	}
}

// wantLarge checks the payload of message i.
func wantLarge(t *testing.T, s *Store, app webhook.ID, ids []webhook.ID, i, size int) {
	t.Helper()
	m, err := s.Deliveries().MessageByID(app, ids[i])
	if err != nil || !bytes.Equal(m.Payload, bytes.Repeat([]byte{byte(i)}, size)) {
		t.Fatalf("message %d has another payload: %v", i, err)
	}
}

// applyNothing applies an entry that changes nothing.
func applyNothing(t *testing.T, w *Writer, app, message webhook.ID) {
	t.Helper()
	if err := w.Resend(t.Context(), app, webhook.ID{}, message); webhook.ErrorCode(err) != webhook.CodeNotFound {
		t.Fatal(err)
	}
}
