package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustAppend also waits for the segment that is prepared, so that nothing uses a testDisk
// afterwards.
func mustAppend(t *testing.T, j *Journal, entries ...Entry) {
	t.Helper()
	must(t, j.Append(entries))
	await(j)
}

// TestFolder writes, reads and opens a journal in a real folder, with readers beside the writer
// while files are used again.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	j, err := Open(dir, testOptions)
	must(t, err)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				first, last := j.Bounds()
				for i := first; i <= last && last > 0; i++ {
					if c, found, err := j.Read(i); err != nil || found && !bytes.Equal(c, content(i, 1, 3000)) {
						t.Errorf("entry %d: %d bytes, %v, %v", i, len(c), found, err)
						return
					}
				}
			}
		})
	}
	for i := range uint64(200) {
		must(t, j.Append([]Entry{entryOf(i+1, 1, 3000)}))
		if i%20 == 19 {
			must(t, j.DropBefore(i-3))
		}
	}
	close(stop)
	wg.Wait()
	if size := j.FileSize(); size > testOptions.Budget()+8*pageSize {
		t.Errorf("the files have %d bytes", size)
	}
	must(t, j.Close())
	for _, err := range []error{j.Append([]Entry{entryOf(201, 1, 1)}), j.DropBefore(1), j.DropFrom(1)} {
		if err == nil {
			t.Error("a journal that was closed is written")
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, "lost.tmp"), []byte("left by a crash"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "lost.spare"), []byte("left by a crash"), 0o600))
	j, err = Open(dir, testOptions)
	must(t, err)
	if first, last := j.Bounds(); first != 196 || last != 200 {
		t.Errorf("it has entries %d to %d", first, last)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, file := range files {
		if strings.HasPrefix(file.Name(), "lost") {
			t.Errorf("%s is there still", file.Name())
		}
	}
	must(t, j.Close())
}

func TestReadAt(t *testing.T) {
	j, err := Open(t.TempDir(), testOptions)
	must(t, err)
	defer j.Close()
	must(t, j.Append([]Entry{{5, [][]byte{[]byte("abc"), []byte("def")}}, {7, nil}}))
	for _, test := range []struct {
		index  uint64
		offset int64
		length int
		want   string
		found  bool
	}{
		{5, 0, 6, "abcdef", true}, {5, 2, 2, "cd", true}, {5, 6, 0, "", true}, {7, 0, 0, "", true},
		{5, 0, 7, "", false}, {5, -1, 2, "", false}, {5, 7, 0, "", false}, {6, 0, 0, "", false}, {7, 0, 1, "", false},
	} {
		part := make([]byte, test.length)
		found, err := j.ReadAt(part, test.index, test.offset)
		if err != nil || found != test.found || found && string(part) != test.want {
			t.Errorf("%+v: %q, %v, %v", test, part, found, err)
		}
	}
}

// TestOrder: entries come after what is there.
func TestOrder(t *testing.T) {
	j, err := Open(t.TempDir(), testOptions)
	must(t, err)
	defer j.Close()
	must(t, j.Append([]Entry{entryOf(5, 1, 1), entryOf(8, 1, 1)}))
	for _, entries := range [][]Entry{{entryOf(8, 1, 1)}, {entryOf(9, 1, 1), entryOf(9, 1, 1)}, {entryOf(1, 1, 1)}} {
		if err := j.Append(entries); err == nil {
			t.Errorf("entry %d was appended", entries[0].Index)
		}
	}
	must(t, j.Append(nil))
	must(t, j.DropFrom(6))
	must(t, j.Append([]Entry{entryOf(6, 1, 1)}))
	must(t, j.DropBefore(100))
	must(t, j.Append([]Entry{entryOf(2, 1, 1)}))
	if first, last := j.Bounds(); first != 2 || last != 2 {
		t.Errorf("it has entries %d to %d", first, last)
	}
}

// TestSizes: the bytes of the entries are those from the first one to the end.
func TestSizes(t *testing.T) {
	j, err := Open(t.TempDir(), testOptions)
	must(t, err)
	defer j.Close()
	if j.Bytes() != 0 || j.Newest(10, 1<<30) != 0 {
		t.Errorf("empty, it has %d bytes from entry %d on", j.Bytes(), j.Newest(10, 1<<30))
	}
	for i := range uint64(10) {
		must(t, j.Append([]Entry{entryOf(i+1, 1, pageSize-batchHeaderSize-recordHeadSize)}))
	}
	const page = pageSize
	for _, test := range []struct {
		count int
		size  int64
		want  uint64
	}{{100, 1 << 30, 1}, {3, 1 << 30, 8}, {100, 3 * page, 8}, {100, 3*page - 100, 9}, {100, 0, 10}} {
		if got := j.Newest(test.count, test.size); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
	must(t, j.DropBefore(9))
	if bytes := j.Bytes(); bytes < 2*page || bytes > 4*page {
		t.Errorf("two entries of a page have %d bytes", bytes)
	}
}

// TestSpareFilesAreReused: also those that are smaller than a new segment would be, as long as the
// batches are small beside them. A larger batch gets a file that has room for it.
func TestSpareFilesAreReused(t *testing.T) {
	const page, small = pageSize, 8
	size := int64(small * page)
	options := Options{SegmentSize: func() int64 { return size }, Budget: func() int64 { return 1 << 30 }}
	j, err := Open(t.TempDir(), options)
	must(t, err)
	defer j.Close()
	index := uint64(0)
	fill := func(entries, pages int) {
		for range entries {
			index++
			must(t, j.Append([]Entry{entryOf(index, 1, pages*page-batchHeaderSize-recordHeadSize)}))
			if index > small {
				must(t, j.DropBefore(index-small))
			}
		}
	}
	fill(10*small, 1)
	before := j.FileSize()
	size *= 2
	fill(10*small, 1)
	if after := j.FileSize(); after > before+2*size {
		t.Errorf("the files had %d bytes, and have %d", before, after)
	}
	fill(2, 3*small)
	if first, last := j.Bounds(); first != index-small || last != index {
		t.Errorf("it has entries %d to %d; want %d to %d", first, last, index-small, index)
	}
}

// TestFailsForGood: after a sync that failed, nothing is written any more.
func TestFailsForGood(t *testing.T) {
	d := newTestDisk(1)
	j, err := open(testDir, testOptions, d)
	must(t, err)
	mustAppend(t, j, entryOf(1, 1, 100))
	broken := errors.New("broken")
	d.setFault(func(_ int, what string) error {
		if what == "sync" {
			return broken
		}
		return nil
	})
	if err := j.Append([]Entry{entryOf(2, 1, 100)}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	d.setFault(nil)
	calls := d.calls
	for range 3 {
		for _, err := range []error{j.Append([]Entry{entryOf(2, 1, 100)}), j.DropBefore(1), j.DropFrom(1), j.Mark()} {
			if !errors.Is(err, broken) {
				t.Error(err)
			}
		}
	}
	if d.calls != calls {
		t.Errorf("%d calls of the file system after the one that failed", d.calls-calls)
	}
	if first, last := j.Bounds(); first != 1 || last != 1 {
		t.Errorf("it has entries %d to %d", first, last)
	}
}
