package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// filled returns a disk with a journal of several segments, one of them used again, and what it
// holds. The last batch has the size given, and there is a mark after it if the journal was closed.
func filled(t testing.TB, last int, closed bool) (*testDisk, model) {
	t.Helper()
	d := newTestDisk(1)
	j, err := open(testDir, testOptions, d)
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	for i := range uint64(20) {
		steps = append(steps, appendStep(entryOf(i+1, 1, 9000)))
	}
	steps = append(steps, dropBeforeStep(16))
	for i := range uint64(8) {
		steps = append(steps, appendStep(entryOf(i+21, 2, 6000), entryOf(i+121, 2, 100)), dropFromStep(i+121))
	}
	steps = append(steps, appendStep(entryOf(200, 3, last/2), entryOf(201, 3, last-last/2)))
	m, _, _, err := run(j, model{}, steps)
	if err == nil && closed {
		err = j.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return d, m
}

// newest returns the segment that was written last, and the place and the length of its last batch.
func newest(t *testing.T, d *testDisk) (path string, n *inode, offset, length int64) {
	t.Helper()
	var most uint64
	for name, n := range d.names {
		if !strings.HasSuffix(name, Suffix) {
			continue
		}
		salt := binary.BigEndian.Uint64(n.cache[20:])
		for at := int64(pageSize); at < int64(len(n.cache)); at += pageSize {
			if h, ok := decodeBatchHeader(n.cache[at:], salt); ok && h.sequence > most {
				most, path, offset, length = h.sequence, name, at, int64(h.length)
			}
		}
	}
	return path, d.names[path], offset, length
}

// TestTornAtEveryByte ends the last write after each of its bytes, and from the other end, over
// zeros or over an earlier use of the file: the batch is gone and everything before it is there.
func TestTornAtEveryByte(t *testing.T) {
	for _, stride := range []int64{1, -11} { // from the other end, not at every byte
		d := newTestDisk(1)
		j, err := open(testDir, testOptions, d)
		if err != nil {
			t.Fatal(err)
		}
		first := appendStep(entryOf(1, 1, 100))
		without, _, _, err := run(j, model{}, []step{first})
		must(t, err)
		mustAppend(t, j, entryOf(2, 1, 2000), entryOf(3, 1, 2300))
		_, n, offset, length := newest(t, d)
		written := slices.Clone(n.cache)
		old := bytes.Repeat([]byte("what was there "), 1000)[:padded(length)]
		for _, before := range [][]byte{make([]byte, padded(length)), old} {
			if &before[0] == &old[0] && stride == 1 {
				stride = 7
			}
			for cut := max(0, -stride); cut < length; cut += max(stride, -stride) {
				n.cache = slices.Clone(written)
				if stride < 0 {
					copy(n.cache[offset:offset+length-cut], before)
				} else {
					copy(n.cache[offset+cut:offset+padded(length)], before[cut:])
				}
				if bytes.Equal(n.cache[:offset+length], written[:offset+length]) {
					continue
				}
				names := len(d.names)
				j, err := open(testDir, testOptions, d)
				if err != nil {
					t.Fatalf("cut at byte %d of %d: %v", cut, length, err)
				}
				await(j)
				if text := differs(j, without); text != "" {
					t.Fatalf("cut at byte %d of %d: %s", cut, length, text)
				}
				if len(d.names) != names {
					t.Fatalf("%d files, there were %d", len(d.names), names)
				}
			}
		}
	}
}

// TestDamage changes a byte, or a whole sector, anywhere in a journal that was closed. Open refuses
// it and names the file, or what it lets pass is not needed.
func TestDamage(t *testing.T) {
	for _, last := range []int{20, 5000} { // the current segment is at its beginning, or at its end
		testDamage(t, last)
	}
}

func testDamage(t *testing.T, last int) {
	d, m := filled(t, last, true)
	random := rand.New(rand.NewPCG(3, 3))
	refused := 0
	for name, n := range d.names {
		whole := slices.Clone(n.cache)
		for at := 0; at < len(whole); at += 1 + random.IntN(1200) {
			n.cache = slices.Clone(whole)
			if random.IntN(2) == 0 {
				n.cache[at] ^= 1 << random.IntN(8)
			} else {
				copy(n.cache[at/sectorSize*sectorSize:], make([]byte, sectorSize))
			}
			j, err := open(testDir, testOptions, d.clone())
			switch {
			case err == nil:
				await(j)
				if text := differs(j, m); text != "" {
					t.Fatalf("%s, byte %d: %s", name, at, text)
				}
			case !strings.Contains(err.Error(), name) || !errors.Is(err, ErrDamaged):
				t.Fatalf("%s, byte %d: %v", name, at, err)
			default:
				refused++
			}
		}
		n.cache = whole
	}
	if refused < 40 {
		t.Errorf("only %d damages were found", refused)
	}
}

// clone returns a disk with the same files, as the process sees them.
func (d *testDisk) clone() *testDisk {
	c := newTestDisk(1)
	for name, n := range d.names {
		c.names[name] = &inode{cache: slices.Clone(n.cache), disk: slices.Clone(n.cache)}
	}
	return c
}

// TestFilesLost: a segment that is missing, is cut, or is another one under its name, is found.
func TestFilesLost(t *testing.T) {
	d, _ := filled(t, 5000, true)
	current, _, _, _ := newest(t, d)
	for name := range d.names {
		if !strings.HasSuffix(name, Suffix) || name > current { // spare, or prepared
			continue
		}
		for what, lose := range map[string]func(*testDisk){
			"missing": func(d *testDisk) { delete(d.names, name) },
			"cut":     func(d *testDisk) { d.names[name].cache = d.names[name].cache[:5*pageSize] },
			"empty":   func(d *testDisk) { d.names[name].cache = nil },
			"other": func(d *testDisk) {
				d.names[name] = d.names[filepath.Join(testDir, segmentName(numberOf(name)+1))]
			},
		} {
			c := d.clone()
			lose(c)
			if _, err := open(testDir, testOptions, c); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s is %s: %v", name, what, err)
			}
		}
	}
}

// TestLastFilesLost: the segment that was written last is missing, with or without the one that was
// prepared.
func TestLastFilesLost(t *testing.T) {
	d := newTestDisk(1)
	j, err := open(testDir, testOptions, d)
	must(t, err)
	mustAppend(t, j, entryOf(1, 1, 100))
	must(t, j.Close())
	delete(d.names, filepath.Join(testDir, segmentName(1)))
	if _, err := open(testDir, testOptions, d.clone()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), segmentName(1)) {
		t.Errorf("a prepared segment is all that is left: %v", err)
	}
	d, _ = filled(t, 20, true)
	current, _, _, _ := newest(t, d)
	maps.DeleteFunc(d.names, func(name string, _ *inode) bool { return strings.HasSuffix(name, Suffix) && name >= current })
	if _, err := open(testDir, testOptions, d); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), current) {
		t.Errorf("a sealed segment is the last: %v", err)
	}
}

// TestReadVerifies damages a record while the journal is open.
func TestReadVerifies(t *testing.T) {
	d := newTestDisk(1)
	j, err := open(testDir, testOptions, d)
	must(t, err)
	mustAppend(t, j, entryOf(1, 1, 100))
	path, n, offset, length := newest(t, d)
	for at := offset + batchHeaderSize; at < offset+length; at++ {
		n.cache[at] ^= 4
		if _, _, err := j.Read(1); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("byte %d: %v", at, err)
		}
		n.cache[at] ^= 4
	}
	_, _, err = j.Read(1)
	must(t, err)
}

// TestCutBatchStaysCut tears a batch, cuts it, and tears the next one in such a way that the rest
// of the first one would complete it: it has a record of the same length at the same place.
func TestCutBatchStaysCut(t *testing.T) {
	const page, head = pageSize, batchHeaderSize + recordHeadSize
	for name, first := range map[string]int{"same place": page - head, "a page later": 2*page - head} {
		d := newTestDisk(1)
		j, err := open(testDir, testOptions, d)
		must(t, err)
		before, _, _, err := run(j, model{}, []step{appendStep(entryOf(1, 1, 10))})
		must(t, err)
		mustAppend(t, j, entryOf(2, 1, first), entryOf(3, 1, 500))
		_, n, offset, length := newest(t, d)
		cut := slices.Clone(n.cache[offset : offset+padded(length)])
		clear(n.cache[offset : offset+sectorSize])

		j, m := reopen(t, d, before, before)
		mustAppend(t, j, entryOf(2, 2, page-head), entryOf(3, 2, 500))
		_, n, second, length := newest(t, d)
		clear(n.cache[second+page : second+padded(length)])
		copy(n.cache[second+page:second+padded(length)], cut[min(int64(len(cut)), second-offset+page):])
		t.Log(name)
		reopen(t, d, m, m)
	}
}

// TestDiskFullForAWhile: a disk without room for the next segment does no harm until that is
// needed.
func TestDiskFullForAWhile(t *testing.T) {
	d := newTestDisk(1)
	full := func(_ int, what string) error {
		if what == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	j, err := open(testDir, testOptions, d)
	must(t, err)
	mustAppend(t, j, entryOf(1, 1, 5*pageSize))
	d.setFault(full)
	mustAppend(t, j, entryOf(2, 1, 5*pageSize)) // in the segment that was prepared
	must(t, j.Mark())
	d.setFault(nil)
	mustAppend(t, j, entryOf(3, 1, 5*pageSize))
	d.setFault(full)
	mustAppend(t, j, entryOf(4, 1, 5*pageSize))
	if err := j.Append([]Entry{entryOf(5, 1, 5*pageSize)}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

// TestFirstFolderSync kills the process that made the first segment before that was durable, and
// cuts the power after another one has written to it.
func TestFirstFolderSync(t *testing.T) {
	var d *testDisk
	for seed := uint64(1); d == nil || len(d.pending) == 0; seed++ { // with some, the sync is done before the process ends
		d = newTestDisk(seed)
		renamed := 0 // first the file synced, and then the segment
		d.fault = func(_ int, what string) error {
			if renamed == 2 {
				return errCrash
			}
			if what == "rename" {
				renamed++
			}
			return nil
		}
		if _, err := open(testDir, testOptions, d); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
	d.restart(false)
	d.fault = func(_ int, what string) error {
		if what == "create" {
			return syscall.ENOSPC // so that nothing else syncs the folder
		}
		return nil
	}
	j, err := open(testDir, testOptions, d)
	must(t, err)
	after, _, _, err := run(j, model{}, []step{appendStep(entryOf(1, 1, 10))})
	must(t, err)
	d.restart(true)
	reopen(t, d, after, after)
}

func numberOf(path string) uint64 {
	number, _ := parseSegmentName(filepath.Base(path))
	return number
}

// TestReadErrors lets each read fail while a journal is opened. An error of the disk is not the end
// of the journal, so nothing is cut.
func TestReadErrors(t *testing.T) {
	d, m := filled(t, 5000, false)
	reads := 0
	for failing := 1; failing <= reads+1; failing++ {
		count := 0
		c := d.clone()
		c.fault = func(_ int, what string) error {
			if what == "read" {
				if count++; count == failing {
					return syscall.EIO
				}
			}
			return nil
		}
		_, err := open(testDir, testOptions, c)
		reads = max(reads, count)
		if count < failing {
			break
		}
		if !errors.Is(err, syscall.EIO) || errors.Is(err, ErrDamaged) {
			t.Fatalf("read %d fails: %v", failing, err)
		}
		c.fault = nil
		j, err := open(testDir, testOptions, c)
		if err != nil {
			t.Fatal(err)
		}
		await(j)
		if text := differs(j, m); text != "" {
			t.Fatalf("after read %d failed: %s", failing, text)
		}
	}
	if reads < 10 {
		t.Errorf("only %d reads", reads)
	}
}

// TestNewerFormat: a file of a later version is not called damaged.
func TestNewerFormat(t *testing.T) {
	d, _ := filled(t, 10, true)
	path, n, _, _ := newest(t, d)
	n.cache[11]++
	binary.BigEndian.PutUint32(n.cache[fileHeaderSize-4:], crc32.Checksum(n.cache[:fileHeaderSize-4], castagnoli))
	if _, err := open(testDir, testOptions, d); err == nil || errors.Is(err, ErrDamaged) ||
		!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "it has format 2") {
		t.Errorf("got %v", err)
	}
}

// FuzzSegment opens a journal whose only segment holds any bytes. It is an error or a journal,
// never a panic. With repair, the checksums of the headers are made right, so that what is in them
// counts.
func FuzzSegment(f *testing.F) {
	d, _ := filled(f, 5000, true)
	for name, n := range d.names {
		if filepath.Base(name) != boundName {
			f.Add(n.cache, true)
			f.Add(n.cache[:3*pageSize], true)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, repair bool) {
		if len(data) > 1<<20 {
			return
		}
		if repair {
			repairHeaders(data)
		}
		d := newTestDisk(1)
		d.names[filepath.Join(testDir, segmentName(1))] = &inode{cache: data}
		d.names[filepath.Join(testDir, boundName)] = &inode{cache: append(place{}.encode(), make([]byte, pageSize)...)}
		j, err := open(testDir, testOptions, d)
		if err != nil {
			return
		}
		await(j)
		first, last := j.Bounds()
		for _, s := range j.index {
			if _, found, err := j.Read(s.index); !found || err != nil || s.index < first || s.index > last {
				t.Fatalf("entry %d of %d to %d: %v", s.index, first, last, err)
			}
		}
		if len(j.index)*recordHeadSize > len(data) {
			t.Fatalf("%d entries in %d bytes", len(j.index), len(data))
		}
	})
}

func repairHeaders(data []byte) {
	sum := func(b []byte) { binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[:len(b)-4], castagnoli)) }
	if len(data) < pageSize {
		return
	}
	copy(data, magic[:])
	binary.BigEndian.PutUint32(data[8:], formatVersion)
	binary.BigEndian.PutUint64(data[12:], 1)
	binary.BigEndian.PutUint64(data[28:], uint64(len(data)/pageSize*pageSize))
	sum(data[:fileHeaderSize])
	for at := pageSize; at+pageSize <= len(data); at += pageSize {
		copy(data[at:], data[20:28]) // the salt
		sum(data[at : at+batchHeaderSize])
	}
}
