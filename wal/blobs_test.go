package wal

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// TestLargeValues keeps large values in blob files, and none in Badger.
func TestLargeValues(t *testing.T) {
	dir := memdir.New(t)
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
		m, err := s.Deliveries().MessageByID(app.ID, id)
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
		dir := memdir.New(t)
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
				other := openTest(t, memdir.New(t))
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

// TestCrashBeforeReferences ends a commit between its values and its records: what was added to the
// blob files is cut off at the next start, and others come in its place.
func TestCrashBeforeReferences(t *testing.T) {
	dir := memdir.New(t)
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
		if m, err := s.Deliveries().MessageByID(app.ID, id); err != nil || !bytes.Equal(m.Payload, bytes.Repeat([]byte{want}, 5000)) {
			t.Errorf("the message of %d is read with %v", want, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRoomForValues: a commit of large values does not begin if with them the disk would lack the
// room that Badger needs.
func TestRoomForValues(t *testing.T) {
	s, _, _, _ := newWorld(t)
	free := int(s.space.disk.now())
	if err := s.space.disk.checkRoom(free / 2); err != nil && free > 4*minFreeToWrite {
		t.Error(err)
	}
	if err := s.space.disk.checkRoom(free); err == nil {
		t.Error("there is room for more than is free")
	}
}
