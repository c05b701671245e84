package wal

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/systemtest/wait"
	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// TestLargeValues keeps large values in blob files, and none in Badger.
func TestLargeValues(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var ids []webhook.ID
	var payloads [][]byte
	for _, size := range []int{1, minBlob - 100, minBlob, 40 << 10, 1 << 20, 3 << 20} {
		payload := bytes.Repeat([]byte{byte(size), byte(size >> 10)}, (size+1)/2)[:size]
		id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		ids, payloads = append(ids, id), append(payloads, payload)
	}
	s = reopen(t, s, dir)
	w = NewWriter(direct{s, 1})
	for i, id := range ids {
		m, err := s.MessageByID(app.ID, id)
		if err != nil || !bytes.Equal(m.Payload, payloads[i]) {
			t.Fatalf("the payload of %d bytes is read as %d: %v", len(payloads[i]), len(m.Payload), err)
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 10}, MessageFilter{})
	if err != nil || len(list) != len(ids) || list[0].ID != ids[len(ids)-1] {
		t.Fatalf("%d messages are listed: %v", len(list), err)
	}
	for _, id := range ids[:5] {
		if err := w.ExpungeMessage(t.Context(), app.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	references, largest := 0, int64(0)
	txn := s.db.at(s.Applied())
	it := txn.NewIterator(badger.DefaultIteratorOptions)
	for it.Rewind(); it.Valid(); it.Next() {
		largest = max(largest, it.Item().ValueSize())
		if it.Item().UserMeta() == isReference {
			references++
		}
	}
	it.Close()
	txn.Discard()
	if references != 1 || largest >= minBlob {
		t.Errorf("%d records have their value in a blob file, want 1; the largest in Badger has %d bytes", references, largest)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// blobsInUse returns the bytes of the values that records have in blob files, and what the files
// count.
func blobsInUse(t *testing.T, s *Store) (want, counted int64) {
	t.Helper()
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := (&reclaimer{store: s}).tidyBlobs(); err != nil {
		t.Fatal(err)
	}
	txn := s.db.at(s.snapshots.last().index)
	defer txn.Discard()
	err := eachRecord(txn, func(item *badger.Item) error {
		ref, is, err := reference(item)
		if is {
			want += 10 + item.KeySize() + int64(ref.Size)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, counted = s.db.blobs.Usage()
	return want, counted
}

// TestBlobsInUse applies a random history, with restarts, crashes and snapshots, and knows at each
// time how much of the blob files is in use. When nothing is, they are gone.
func TestBlobsInUse(t *testing.T) {
	for seed := range int64(3) {
		rnd := rand.New(rand.NewSource(seed))
		dir := t.TempDir()
		s := openTest(t, dir)
		tolerate(t, "")
		index := uint64(0)
		live := map[string]int{}
		step := func() {
			index++
			s.pending.Lock()
			defer s.pending.Unlock()
			b := &s.pending.staged
			b.meta.index, b.meta.term = index, 1
			for range 1 + rnd.Intn(5) {
				key := chunkKey(keyLog, goldenApp, idAt(uint64(rnd.Intn(30)), 0))
				size := rnd.Intn(3) * rnd.Intn(200<<10)
				if live[string(key)] = size; size == 0 {
					b.delete(key)
					continue
				}
				b.set(key, bytes.Repeat([]byte{byte(index)}, size))
			}
		}
		for range 150 {
			step()
			switch rnd.Intn(12) {
			case 0:
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openTest(t, dir)
			case 1:
				if want, counted := blobsInUse(t, s); want != counted {
					t.Fatalf("seed %d, entry %d: %d bytes are counted as in use, want %d", seed, index, counted, want)
				}
			case 2, 3, 4:
				if err := s.Commit(); err != nil {
					t.Fatal(err)
				}
			case 5:
				before := content(t, s)
				other := openTest(t, t.TempDir())
				if err := errors.Join(other.RestoreSnapshot(bytes.NewReader(before)), s.RestoreSnapshot(bytes.NewReader(before))); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(content(t, other), before) {
					t.Fatal("the stores differ")
				}
				if err := other.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for key := range live {
			s.pending.Lock()
			index++
			s.pending.staged.meta.index = index
			s.pending.staged.delete([]byte(key))
			s.pending.Unlock()
		}
		if want, counted := blobsInUse(t, s); want != 0 || counted != 0 {
			t.Fatalf("seed %d: %d bytes are counted as in use, want none of %d", seed, counted, want)
		}
		if left := blobsIn(t, s); len(left) > 0 {
			t.Errorf("seed %d: %q are left", seed, left)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func blobsIn(t *testing.T, s *Store) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.db.Opts().Dir, blobFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestReadersKeepBlobs reads a state of which everything was deleted since: the values stay until
// the reader is done.
func TestReadersKeepBlobs(t *testing.T) {
	s, w, app, _ := newWorld(t)
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, s)
	_, _, stream, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.ExpungeMessage(t.Context(), app.ID, id); err != nil {
		t.Fatal(err)
	}
	if _, counted := blobsInUse(t, s); counted < 1<<20 {
		t.Errorf("%d bytes are counted as in use", counted)
	}
	var got bytes.Buffer
	if _, err := io.Copy(&got, stream); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("another state of %d bytes is read, want %d: %v", got.Len(), len(want), err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	if want, counted := blobsInUse(t, s); counted != want || counted > 1<<10 {
		t.Errorf("%d bytes are counted as in use, want %d", counted, want)
	}
}

// TestMoveBlobs deletes most values of a file. The others are moved, with the next entry, and the
// file is removed; the state stays as it is.
func TestMoveBlobs(t *testing.T) {
	s, w, app, _ := newWorld(t)
	var ids []webhook.ID
	for i := range 160 { // more than two files
		m := &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{byte(i)}, 1<<20)}
		id, err := w.CreateMessage(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		if i%8 == 0 {
			continue
		}
		if err := w.ExpungeMessage(t.Context(), app.ID, id); err != nil {
			t.Fatal(err)
		}
	}
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
		if err := w.Resend(t.Context(), app.ID, webhook.ID{}, ids[0]); webhook.ErrorCode(err) != webhook.CodeNotFound { // an entry that changes nothing
			t.Fatal(err)
		}
		if err := r.tidyBlobs(); err != nil {
			t.Fatal(err)
		}
		size, live := s.db.blobs.Usage()
		return size <= 2*live+fileSlack
	})
	for i, id := range ids {
		m, err := s.MessageByID(app.ID, id)
		if i%8 == 0 && (err != nil || !bytes.Equal(m.Payload, bytes.Repeat([]byte{byte(i)}, 1<<20))) {
			t.Errorf("message %d has another payload: %v", i, err)
		}
	}
}

const fileSlack = 66 << 20 // bytes: of the newest file, which is not moved

// TestCrashBeforeReferences ends a commit between its values and its records: what was added to the
// blob files is cut off at the next start, and others come in its place.
func TestCrashBeforeReferences(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{1}, 5000)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	size, _ := s.db.blobs.Usage()
	for range 3 { // values of a commit that ends here
		if _, err := s.db.blobs.Add([]byte("L"), bytes.Repeat([]byte{2}, 40<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.db.blobs.Sync(); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, dir)
	if again, _ := s.db.blobs.Usage(); again != size || len(blobsIn(t, s)) != 1 {
		t.Errorf("%d bytes in %d files, want %d in one", again, len(blobsIn(t, s)), size)
	}
	w = NewWriter(direct{s, 1})
	second, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{3}, 5000)})
	if err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, dir)
	for id, want := range map[webhook.ID]byte{first: 1, second: 3} {
		if m, err := s.MessageByID(app.ID, id); err != nil || !bytes.Equal(m.Payload, bytes.Repeat([]byte{want}, 5000)) {
			t.Errorf("the message of %d is read with %v", want, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestEndIsNotKnown loses the entry that says where the blob files end, or its newest version, as a
// damaged block of Badger's does. The store is not opened, and no value is cut off.
func TestEndIsNotKnown(t *testing.T) {
	for name, change := range map[string]func(txn *badger.Txn) error{
		"no end":  func(txn *badger.Txn) error { return txn.Delete(endKey) },
		"old end": func(txn *badger.Txn) error { return txn.Set(metaKey, (&meta{index: 99, term: 1}).encode()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			s := openTest(t, dir)
			w := NewWriter(direct{s, 1})
			app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
			if err != nil {
				t.Fatal(err)
			}
			m := &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 5000)}
			if _, err := w.CreateMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			size, _ := s.db.blobs.Usage()
			txn := s.db.NewTransactionAt(99, true)
			if err := errors.Join(change(txn), txn.CommitAt(99, nil), s.Close()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := openFilled(dir); !errors.Is(err, blobfiles.ErrDamaged) {
					t.Fatalf("the store is opened with %v", err)
				}
			}
			info, err := os.Stat(filepath.Join(dir, "db-1", blobFolder, "00000001.blob"))
			if err != nil || info.Size() != size {
				t.Errorf("the file has changed: %v", err)
			}
		})
	}
}

// TestSpaceOfIdleStore deletes most of what is in the files, the newest one included, of a store to
// which nothing else happens: the leader proposes entries until the space is given back, and then
// no more.
func TestSpaceOfIdleStore(t *testing.T) {
	s, w, app, _ := newWorld(t)
	var ids []webhook.ID
	for i := range 100 { // one file and a half
		m := &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{byte(i)}, 1<<20)}
		id, err := w.CreateMessage(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i, id := range ids {
		if i%10 == 0 {
			continue
		}
		if err := w.ExpungeMessage(t.Context(), app.ID, id); err != nil {
			t.Fatal(err)
		}
	}
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
		if more, err = w.Tidy(t.Context(), s); err != nil {
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
	for i, id := range ids {
		m, err := s.MessageByID(app.ID, id)
		if i%10 == 0 && (err != nil || !bytes.Equal(m.Payload, bytes.Repeat([]byte{byte(i)}, 1<<20))) {
			t.Errorf("message %d has another payload: %v", i, err)
		}
	}
}

// TestUnreadableIsNotMarked: a disk that does not give a file when all are verified ends the node,
// but the next start tries again. Damage does not go away, so no start uses the store any more.
func TestUnreadableIsNotMarked(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		marked bool
	}{
		"unreadable": {&os.PathError{Op: "read", Path: "00000001.blob", Err: syscall.EIO}, false},
		"damaged":    {blobfiles.ErrDamaged, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			var told error
			s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { told = err }})
			if err != nil {
				t.Fatal(err)
			}
			(&verifier{s, s.db}).giveUp(badgerfiles.Damaged(s.db.Opts().Dir, test.err))
			if !errors.Is(told, test.err) {
				t.Errorf("the node ends with %v", told)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err = openFilled(dir)
			if marked := errors.Is(err, badgerfiles.ErrDamaged); marked != test.marked {
				t.Fatalf("the next start: %v", err)
			}
			if err == nil {
				err = s.Close()
			}
			if !test.marked && err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCrashWhileMoving ends commits that move values between any two of their transactions: the
// state is what it was, and so is what is in use. Then the values are moved, and their file
// is gone.
func TestCrashWhileMoving(t *testing.T) {
	dir := t.TempDir()
	s := openSplit(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var ids []webhook.ID
	for i := range 900 {
		m := &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{byte(i)}, minBlob)}
		id, err := w.CreateMessage(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
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
		s.Ready(0)                                                                                                                            // nothing is being committed
		if err := NewWriter(direct{s, 1}).Resend(t.Context(), app.ID, webhook.ID{}, ids[0]); webhook.ErrorCode(err) != webhook.CodeNotFound { // an entry that changes nothing
			t.Fatal(err)
		}
		moved, err := s.pending.rewrite(s.db, values)
		if err == nil {
			if !moved {
				continue // the entry was committed by itself
			}
			for i, id := range ids[1:] {
				if got, err := s.MessageByID(app.ID, id); err != nil || !bytes.Equal(got.Payload, bytes.Repeat([]byte{byte(i + 1)}, minBlob)) {
					t.Fatalf("message %d has another payload: %v", i+1, err)
				}
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

// TestLostBlobFiles loses a blob file, or its end, with values in use. The first start may not see
// that, but soon it does; then no other start uses the store, and each says what is wrong.
func TestLostBlobFiles(t *testing.T) {
	whole := uncheckedDir(t)
	s := openTest(t, whole)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 70 { // two files
		m := &webhook.Message{App: app.ID, EventType: "a", Payload: bytes.Repeat([]byte{byte(i)}, 1<<20)}
		if _, err := w.CreateMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file string
		lose func(path string) error
	}{
		"first":         {"00000001.blob", os.Remove},
		"newest":        {"00000002.blob", os.Remove},
		"end of first":  {"00000001.blob", func(path string) error { return os.Truncate(path, 50<<20) }},
		"end of newest": {"00000002.blob", func(path string) error { return os.Truncate(path, 1<<20) }},
		"first is newest": {"00000001.blob", func(path string) error {
			return errors.Join(os.Remove(path), os.Link(filepath.Join(filepath.Dir(path), "00000002.blob"), path))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := test.lose(filepath.Join(dir, "db-1", blobFolder, test.file)); err != nil {
				t.Fatal(err)
			}
			isTold := func(err error) bool {
				return errors.Is(err, badgerfiles.ErrDamaged) && strings.Contains(err.Error(), test.file)
			}
			report, err := Check(dir, CheckOptions{})
			if err == nil {
				err = report.Err()
			}
			if err == nil || !strings.Contains(err.Error(), test.file) {
				t.Errorf("the checker says %v", err)
			}
			s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
			if err == nil {
				if err := (&reclaimer{store: s}).tidyBlobs(); !isTold(err) {
					t.Errorf("it is found that %v", err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				_, err = openFilled(dir)
			}
			if !isTold(err) {
				t.Errorf("the next start: %v", err)
			}
		})
	}
}

// TestRoomForValues: a commit of large values does not begin if with them the disk would lack the
// room that Badger needs.
func TestRoomForValues(t *testing.T) {
	s, _, _, _ := newWorld(t)
	free := int(s.disk.now())
	if err := s.checkRoom(free / 2); err != nil && free > 4*minFreeToWrite {
		t.Error(err)
	}
	if err := s.checkRoom(free); err == nil {
		t.Error("there is room for more than is free")
	}
}
