package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// marks returns which of these texts are in the files of a store.
func marks(t *testing.T, s *Store, texts ...string) (found []string) {
	t.Helper()
	in := make(map[string]bool)
	err := filepath.WalkDir(s.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it was removed meanwhile
		}
		data, err := os.ReadFile(path)
		for _, text := range texts {
			if err == nil && bytes.Contains(data, []byte(text)) {
				in[text] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if in[text] {
			found = append(found, text)
		}
	}
	return found
}

var removedMarks = []string{"MARK-METADATA", "MARK-ENDPOINT", "MARK-SMALL", "MARK-LARGE", "MARK-EVENT", "MARK-EXPUNGED", "MARK-EXLARGE"}

// writeMarks writes texts of all kinds, in objects that are removed and beside some that stay.
func writeMarks(t *testing.T, s *Store, w *Writer) *webhook.Application {
	t.Helper()
	stays, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "stays"}, false)
	if err != nil {
		t.Fatal(err)
	}
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "goes", Metadata: map[string]string{"k": "MARK-METADATA"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys, Description: "MARK-ENDPOINT"})
	if err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 100_000)
	for i := range 20 {
		for _, m := range []webhook.Message{
			{App: app.ID, EventType: "a", EventID: fmt.Sprint("MARK-EVENT", i), Payload: []byte(`"MARK-SMALL"`)},
			{App: app.ID, EventType: "a", Payload: []byte(`"MARK-LARGE` + large + `"`)},
			{App: stays.ID, EventType: "a", Payload: []byte(`"STAYS-SMALL"`)},
			{App: stays.ID, EventType: "a", Payload: []byte(`"STAYS-LARGE` + large + `"`)},
		} {
			if _, err := w.CreateMessage(t.Context(), &m); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, text := range []string{`"MARK-EXPUNGED"`, `"MARK-EXLARGE` + large + `"`} {
		id, err := w.CreateMessage(t.Context(), &webhook.Message{App: stays.ID, EventType: "a", Payload: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := w.ExpungeMessage(t.Context(), stays.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	return app
}

func removeMarks(t *testing.T, s *Store, w *Writer, app webhook.ID) {
	t.Helper()
	if err := w.DeleteApplication(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		var err error
		if more, err = NewCleaner(s, w).Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// purgeNow purges until nothing is left to do.
func purgeNow(t *testing.T, s *Store, w *Writer) {
	t.Helper()
	r := &reclaimer{store: s, purge: newPurge(time.Hour, time.Now())}
	r.purge.due = time.Time{}
	wait.For(t, "the purge", func() bool {
		if err := r.tidyBlobs(); err != nil {
			t.Fatal(err)
		}
		if err := r.purgeIfDue(); err != nil {
			t.Fatal(err)
		}
		if _, err := NewCleaner(s, w).Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		return r.purge.index == 0 && !r.purge.due.IsZero() && !r.purge.isMoving(s.db) && r.move.file == 0
	})
	wait.For(t, "the files to be removed", func() bool {
		if err := r.tidyBlobs(); err != nil {
			t.Fatal(err)
		}
		size, live := s.db.blobs.Usage()
		return size == live
	})
}

// TestPurge: nothing of what was removed is in the files after a purge, and what stays is there.
func TestPurge(t *testing.T) {
	s, w, _, _ := newWorld(t)
	app := writeMarks(t, s, w)
	if found := marks(t, s, removedMarks...); len(found) != len(removedMarks) {
		t.Fatalf("only %s are there", found)
	}
	removeMarks(t, s, w, app.ID)
	purgeNow(t, s, w)
	if found := marks(t, s, removedMarks...); len(found) > 0 {
		t.Errorf("%s are there still", found)
	}
	if found := marks(t, s, "STAYS-SMALL", "STAYS-LARGE"); len(found) != 2 {
		t.Errorf("only %s stays", found)
	}
} // the cleanup checks the store

// TestPurgeWaitsForReaders: what a reader needs stays for so long; the purge comes after that.
func TestPurgeWaitsForReaders(t *testing.T) {
	s, w, _, _ := newWorld(t)
	app := writeMarks(t, s, w)
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	reader := s.snapshots.pin()
	removeMarks(t, s, w, app.ID)
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	r := &reclaimer{store: s, purge: newPurge(0, time.Now())}
	if err := r.tidyBlobs(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := r.purgeIfDue(); err != nil {
			t.Fatal(err)
		}
	}
	if r.purge.index == 0 {
		t.Error("the purge does not wait")
	}
	if err := r.reclaim(); err != nil { // merges the deletions, and keeps what they delete
		t.Fatal(err)
	}
	if found := marks(t, s, removedMarks[:4]...); len(found) != 4 {
		t.Errorf("only %s are there", found)
	}
	s.snapshots.unpin(reader)
	s.changed.Store(true)
	purgeNow(t, s, w)
	if found := marks(t, s, removedMarks...); len(found) > 0 {
		t.Errorf("%s are there still", found)
	}
}

// TestPurgeTurns: the purge comes by itself, after a start as well, and only if something was
// applied.
func TestPurgeTurns(t *testing.T) {
	s := openTest(t, memdir.New(t))
	w := NewWriter(direct{s, 1})
	app := writeMarks(t, s, w)
	removeMarks(t, s, w, app.ID)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	config := s.config
	config.Purge = 100 * time.Millisecond
	again, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	w = NewWriter(direct{again, 1})
	wait.For(t, "a purge", func() bool {
		if _, err := NewCleaner(again, w).Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(marks(t, again, removedMarks...))+len(marks(t, again, removedMarks...)) == 0
	})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeOfReplies: an entry without commands forgets what was kept under an idempotency key,
// and that is a reason to purge, too.
func TestPurgeOfReplies(t *testing.T) {
	s, w, _, endpoint := newWorld(t)
	body := encodeIdempotent([16]byte{1}, [16]byte{}, appendCreateMessage(nil, &webhook.Message{App: endpoint.App, Only: endpoint.ID, EventType: "a", Payload: []byte(`"MARK-SMALL"`)}))
	reply := applyList(t, s, body)[0]
	if reply[1] != replyFirst {
		t.Fatalf("%x", reply)
	}
	messages, _, err := s.Messages(endpoint.App, Page{Limit: 10}, MessageFilter{})
	if err != nil || len(messages) != 1 {
		t.Fatal(len(messages), err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := w.ExpungeMessage(t.Context(), endpoint.App, messages[0].ID); err != nil {
		t.Fatal(err)
	}
	purgeNow(t, s, w)
	if found := marks(t, s, "MARK-SMALL"); len(found) == 0 {
		t.Error("the reply is not there: this test tests nothing")
	}
	if _, err := s.Apply(s.Applied()+1, 1, testClock+2*IdempotencyWindow.Milliseconds(), nil); err != nil {
		t.Fatal(err)
	}
	r := &reclaimer{store: s, purge: newPurge(0, time.Now())}
	if err := errors.Join(r.tidyBlobs(), r.purgeIfDue()); err != nil {
		t.Fatal(err)
	}
	if found := marks(t, s, "MARK-SMALL"); len(found) > 0 {
		t.Error("it is there still")
	}
}

// TestPurgeSharesMoves: the files of a purge do not hold up those that give most space.
func TestPurgeSharesMoves(t *testing.T) {
	s, w, app, _ := newWorld(t)
	ids := createLarge(t, w, app.ID, 300, 1<<20) // more than four files
	for i, id := range ids {
		if i == 0 || i == 70 || i == 140 || i > 192 && i < 250 {
			if err := w.ExpungeMessage(t.Context(), app.ID, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	r := &reclaimer{store: s}
	if err := r.tidyBlobs(); err != nil {
		t.Fatal(err)
	}
	r.applied, r.purge.db, r.purge.files = s.Applied(), s.db, s.db.blobs.Wasteful()
	emptiest, _ := s.db.blobs.Emptiest()
	var next []uint32
	for range 3 {
		file, _ := r.nextFile(s.db)
		r.purge.begun(file)
		next = append(next, file)
	}
	if want := []uint32{1, emptiest, 2}; emptiest < 4 || !slices.Equal(next, want) {
		t.Errorf("%d are moved, want %d", next, want)
	}
}

// A memtable that was written out lately keeps a purge from merging large tables.
func TestPurgeWaitsForCalm(t *testing.T) {
	s := newSized(t, 100<<20)
	r := &reclaimer{store: s.Store, purge: newPurge(time.Hour, time.Now())}
	calm := func(tables int64) bool {
		t.Helper()
		if err := r.watchMemtable(); err != nil {
			t.Fatal(err)
		}
		return r.purge.isCalm(tables)
	}
	if calm(quickTables+1) || !calm(quickTables) {
		t.Error("a store that was just opened is calm, or its tables may not be merged however small they are")
	}
	r.purge.rotated = time.Now().Add(-calmTime)
	if !calm(quickTables + 1) {
		t.Error("a store in which nothing happens is not calm")
	}
	if err := errors.Join(s.Commit(), r.rotateMemtable()); err != nil {
		t.Fatal(err)
	}
	if calm(quickTables + 1) {
		t.Error("a store that has just written a memtable out is calm")
	}
}

// TestFirstPurge: a start does not put a purge off, whatever the clock says.
func TestFirstPurge(t *testing.T) {
	for _, test := range []struct {
		ago         time.Duration
		least, most time.Duration
	}{
		{time.Hour, 8 * time.Hour, 11 * time.Hour},
		{12 * time.Hour, 7 * time.Minute, 23 * time.Minute},
		{1000 * time.Hour, 7 * time.Minute, 23 * time.Minute},
		{-time.Hour, 7 * time.Minute, 23 * time.Minute}, // a clock was wrong
		{1 << 62, 7 * time.Minute, 23 * time.Minute},
	} {
		p := newPurge(purgeInterval, time.Now().Add(-test.ago))
		if got := time.Until(p.due); got < test.least-time.Minute || got > test.most+time.Minute {
			t.Errorf("the last one %s ago: the next in %s, not in %s to %s", test.ago, got, test.least, test.most)
		}
	}
	if got := time.Until(newPurge(purgeInterval, time.Time{}).due); got > 23*time.Minute { // it is not known
		t.Errorf("the first one in %s", got)
	}
}

// TestPurgeIsNoted: a purge is noted when all of it is over, and a start knows when it began.
func TestPurgeIsNoted(t *testing.T) {
	s, w, _, _ := newWorld(t)
	if last := lastPurge(s.config.Dir); !last.IsZero() {
		t.Errorf("a new store was purged at %s", last)
	}
	app := writeMarks(t, s, w)
	removeMarks(t, s, w, app.ID)
	r := &reclaimer{store: s, purge: newPurge(0, time.Now())}
	if err := errors.Join(r.tidyBlobs(), r.purgeIfDue(), r.notePurge()); err != nil {
		t.Fatal(err)
	}
	if last := lastPurge(s.config.Dir); !r.purge.isMoving(s.db) || !last.IsZero() {
		t.Errorf("values are to be moved: %t; noted: %s", r.purge.isMoving(s.db), last)
	}
	began := r.purge.began
	wait.For(t, "all values to be moved", func() bool {
		err := errors.Join(r.tidyBlobs(), r.notePurge())
		if _, tidied := NewCleaner(s, w).Tidy(t.Context()); err != nil || tidied != nil {
			t.Fatal(err, tidied)
		}
		return r.purge.began.IsZero()
	})
	if last := lastPurge(s.config.Dir); !last.Equal(began) {
		t.Errorf("noted: %s, not %s", last, began)
	}
	if err := os.WriteFile(filepath.Join(s.config.Dir, purgedFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if last := lastPurge(s.config.Dir); !last.IsZero() {
		t.Errorf("a damaged file says %s", last)
	}
}
