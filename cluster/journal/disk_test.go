package journal

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
)

// testDisk is a file system in memory. It loses what was not synced, and it ends the process or
// fails at any call.
type testDisk struct {
	mu      sync.Mutex
	random  *rand.Rand
	names   map[string]*inode // as the process sees them
	durable map[string]*inode // on the disk
	pending []func(map[string]*inode)
	calls   int
	fault   func(call int, what string) error // errCrash: the process ends during this call
	crashed bool
}

// inode is a file: what the process sees, and what is on the disk.
type inode struct {
	cache, disk []byte
	dirty       map[int64]bool // sectors of cache that are not on the disk
}

const sectorSize = 512

var errCrash = errors.New("the process has ended")

func newTestDisk(seed uint64) *testDisk {
	return &testDisk{random: rand.New(rand.NewPCG(seed, 1)), names: map[string]*inode{}, durable: map[string]*inode{}}
}

// call counts a call and returns the error that it is to return. During the call in which the
// process ends, begun says whether a part of it still happens.
func (d *testDisk) call(what string) (begun bool, err error) {
	if d.crashed {
		return false, errCrash
	}
	d.calls++
	if d.fault != nil {
		err = d.fault(d.calls, what)
	}
	if errors.Is(err, errCrash) {
		d.crashed = true
		return d.random.IntN(2) == 0, err
	}
	return false, err
}

func (d *testDisk) setFault(fault func(call int, what string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// restart begins another process after the last one has ended or was given up. If the power was
// cut, each sector that was not synced is old, new, or new up to some byte, and of the changes of
// names only the first ones have happened.
func (d *testDisk) restart(power bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed, d.fault = false, nil
	if !power {
		return
	}
	for _, change := range d.pending[:d.random.IntN(len(d.pending)+1)] {
		change(d.durable)
	}
	d.pending, d.names = nil, maps.Clone(d.durable)
	for _, n := range d.inodes() {
		n.lose(d.random)
	}
}

func (d *testDisk) inodes() (list []*inode) {
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		list = append(list, d.names[name])
	}
	return list
}

func (n *inode) lose(random *rand.Rand) {
	if len(n.cache) > len(n.disk) && random.IntN(2) == 0 {
		n.disk = append(n.disk, make([]byte, len(n.cache)-len(n.disk))...)
	}
	for _, sector := range slices.Sorted(maps.Keys(n.dirty)) {
		from := sector * sectorSize
		to := min(from+sectorSize, int64(len(n.disk)))
		if random.IntN(2) == 0 || from >= to {
			continue
		}
		if random.IntN(4) == 0 {
			to = from + random.Int64N(to-from)
		}
		copy(n.disk[from:to], n.cache[from:to])
	}
	n.cache, n.dirty = slices.Clone(n.disk), nil
}

func (d *testDisk) change(change func(map[string]*inode)) {
	change(d.names)
	d.pending = append(d.pending, change)
}

func (d *testDisk) list(string) (names []string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.call("list"); err != nil {
		return nil, err
	}
	for name := range d.names {
		names = append(names, filepath.Base(name))
	}
	return names, nil
}

func (d *testDisk) open(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.call("open"); err != nil {
		return nil, err
	}
	if d.names[path] == nil {
		return nil, fs.ErrNotExist
	}
	return &testFile{d, d.names[path]}, nil
}

func (d *testDisk) create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	begun, err := d.call("create")
	if err != nil && !begun {
		return nil, err
	}
	n := &inode{}
	d.change(func(names map[string]*inode) { names[path] = n })
	return &testFile{d, n}, err
}

func (d *testDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	begun, err := d.call("rename")
	if err == nil || begun {
		n := d.names[from]
		d.change(func(names map[string]*inode) {
			delete(names, from)
			names[to] = n
		})
	}
	return err
}

func (d *testDisk) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	begun, err := d.call("remove")
	if err == nil || begun {
		d.change(func(names map[string]*inode) { delete(names, path) })
	}
	return err
}

func (d *testDisk) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	begun, err := d.call("sync the folder")
	if err == nil || begun {
		d.pending, d.durable = nil, maps.Clone(d.names)
	}
	return err
}

type testFile struct {
	disk *testDisk
	*inode
}

func (f *testFile) ReadAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if _, err := f.disk.call("read"); err != nil {
		return 0, err
	}
	if offset > int64(len(f.cache)) {
		return 0, io.EOF
	}
	n := copy(b, f.cache[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt writes a part, if the process ends during the call or it fails.
func (f *testFile) WriteAt(b []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	_, err := f.disk.call("write")
	if err != nil {
		b = b[:f.disk.random.IntN(len(b)+1)]
	}
	if grow := offset + int64(len(b)) - int64(len(f.cache)); grow > 0 {
		f.cache = append(f.cache, make([]byte, grow)...)
	}
	copy(f.cache[offset:], b)
	if f.dirty == nil {
		f.dirty = map[int64]bool{}
	}
	for sector := offset / sectorSize; sector*sectorSize < offset+int64(len(b)); sector++ {
		f.dirty[sector] = true
	}
	return len(b), err
}

// sync that fails leaves what was written in the memory of the operating system, which does not
// write it any more.
func (f *testFile) sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	begun, err := f.disk.call("sync")
	switch {
	case err == nil || begun:
		f.flush()
	case !errors.Is(err, errCrash):
		f.dirty = nil
	}
	return err
}

func (n *inode) flush() { n.disk, n.dirty = slices.Clone(n.cache), nil }

func (f *testFile) size() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	_, err := f.disk.call("size")
	return int64(len(f.cache)), err
}

func (f *testFile) Close() error { return nil }
