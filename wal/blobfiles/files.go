package blobfiles

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"hookwheel/durable"
)

const (
	fileSize   = 64 << 20 // bytes; a file that has so many is not appended to. Only one with a single value can be larger
	bufferSize = 1 << 20  // bytes to gather for a write
	suffix     = ".blob"
)

// ErrDamaged is wrapped by the error for a file that is not as it was written.
var ErrDamaged = errors.New("a file of large values is damaged")

// Ref refers to a value.
type Ref struct {
	File   uint32 // number
	Offset uint32 // of the value's head, in bytes
	Size   uint32 // of the value, in bytes
}

// RefSize is the size of an encoded Ref in bytes.
const RefSize = 12

// Append appends the encoded reference to dst.
func (r Ref) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, r.File)
	dst = binary.BigEndian.AppendUint32(dst, r.Offset)
	return binary.BigEndian.AppendUint32(dst, r.Size)
}

// DecodeRef decodes a reference.
func DecodeRef(data []byte) (r Ref, err error) {
	if len(data) != RefSize {
		return r, fmt.Errorf("%w: a reference has %d bytes", ErrDamaged, len(data))
	}
	return Ref{binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])}, nil
}

// End is where the files end: the number of the newest one and its size in bytes. It is zero if
// there never was a file.
type End struct{ File, Size uint32 }

// EndSize is the size of an encoded End in bytes.
const EndSize = 8

// Append appends the encoded end to dst.
func (e End) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, e.File), e.Size)
}

// DecodeEnd decodes an end.
func DecodeEnd(data []byte) (e End, err error) {
	if len(data) != EndSize {
		return e, fmt.Errorf("%w: their end has %d bytes", ErrDamaged, len(data))
	}
	return End{binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])}, nil
}

// Files are the files in one folder.
type Files struct {
	dir    string
	noSync bool
	start  End // as of Open

	mu    sync.RWMutex
	files map[uint32]*file
	end   End  // of what was added; beyond what is in the files by the buffer
	ended bool // nothing more is to be added to the newest file

	// Only Add and Sync use these.
	buffer  []byte
	created bool // a file whose entry in the folder may not be on stable storage
	dirty   bool // something was added since the last Sync
}

type file struct {
	*os.File
	size    int64 // bytes
	written int64 // bytes that are not in the buffer any more
	live    int64 // bytes of values that are in use
}

// Open opens the files in dir, which is created if it does not exist, and cuts off everything
// behind end. With noSync nothing is synced.
func Open(dir string, end End, noSync bool) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	f := &Files{dir: dir, noSync: noSync, start: end, files: make(map[uint32]*file), end: end}
	entries, err := os.ReadDir(dir)
	for i := 0; i < len(entries) && err == nil; i++ {
		err = f.open(entries[i].Name())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Files) open(name string) error {
	var number uint32
	if _, err := fmt.Sscanf(name, "%d"+suffix, &number); err != nil || number == 0 || name != fileName(number) {
		return nil // not ours
	}
	path := filepath.Join(f.dir, name)
	if number > f.end.File {
		return os.Remove(path)
	}
	opened, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	size := info.Size()
	if want := int64(f.end.Size); number == f.end.File && size > want {
		if err := errors.Join(opened.Truncate(want), f.sync(opened)); err != nil {
			return errors.Join(err, opened.Close())
		}
		size = want
	} else if number == f.end.File && size < want {
		return errors.Join(fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, path, size, want), opened.Close())
	}
	f.files[number] = &file{File: opened, size: size, written: size}
	return nil
}

func fileName(number uint32) string { return fmt.Sprintf("%08d%s", number, suffix) }

// Close closes all files. Values that were added since the last Sync are lost.
func (f *Files) Close() (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range f.files {
		err = errors.Join(err, file.Close())
	}
	clear(f.files)
	return err
}

// Add appends a value. It can be read, and is durable, once Sync has returned. After an error the
// files must not be used any more.
func (f *Files) Add(key, value []byte) (Ref, error) {
	size := recordSize(len(key), len(value))
	f.mu.RLock()
	newest, ended := f.files[f.end.File], f.ended
	f.mu.RUnlock()
	if newest == nil || newest.size > 0 && (ended || newest.size+size > fileSize) {
		if _, err := f.Sync(); err != nil {
			return Ref{}, err
		}
		if err := f.begin(); err != nil {
			return Ref{}, err
		}
	}
	f.mu.Lock()
	newest = f.files[f.end.File]
	if newest == nil { // Remove was faster
		f.mu.Unlock()
		return f.Add(key, value)
	}
	ref := Ref{f.end.File, uint32(newest.size), uint32(len(value))}
	newest.size += size
	newest.live += size
	f.end.Size = uint32(newest.size)
	f.mu.Unlock()
	f.dirty = true
	f.buffer = appendRecord(f.buffer, key, value)
	if len(f.buffer) < bufferSize {
		return ref, nil
	}
	return ref, f.flush(newest)
}

// begin begins the next file.
func (f *Files) begin() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := f.end.File + 1
	created, err := os.OpenFile(filepath.Join(f.dir, fileName(number)), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.files[number], f.end, f.created, f.ended = &file{File: created}, End{File: number}, true, false
	return nil
}

// flush writes the buffer to the end of the newest file.
func (f *Files) flush(newest *file) error {
	if _, err := newest.WriteAt(f.buffer, newest.written); err != nil {
		return err
	}
	f.mu.Lock()
	newest.written += int64(len(f.buffer))
	f.mu.Unlock()
	if f.buffer = f.buffer[:0]; cap(f.buffer) > 2*bufferSize {
		f.buffer = nil
	}
	return nil
}

// Sync makes what was added durable, and returns where the files end.
func (f *Files) Sync() (End, error) {
	f.mu.RLock()
	end, newest := f.end, f.files[f.end.File]
	f.mu.RUnlock()
	if len(f.buffer) > 0 {
		if err := f.flush(newest); err != nil {
			return end, err
		}
	}
	if !f.dirty {
		return end, nil
	}
	if err := f.sync(newest.File); err != nil {
		return end, err
	}
	if f.created && !f.noSync {
		if err := durable.SyncDir(f.dir); err != nil {
			return end, err
		}
	}
	f.created, f.dirty = false, false
	return end, nil
}

func (f *Files) sync(file *os.File) error {
	if f.noSync {
		return nil
	}
	return file.Sync()
}

// Read returns a value. The result is part of space if that is large enough.
func (f *Files) Read(ref Ref, key, space []byte) ([]byte, error) {
	f.mu.RLock()
	file, end := f.files[ref.File], int64(0)
	if file != nil {
		end = file.written
	}
	f.mu.RUnlock()
	if file == nil {
		return nil, fmt.Errorf("%w: %s is missing", ErrDamaged, filepath.Join(f.dir, fileName(ref.File)))
	}
	size := int(recordSize(len(key), int(ref.Size)))
	if int64(ref.Offset)+int64(size) > end {
		return nil, damage(file, int64(ref.Offset))
	}
	record := slices.Grow(space[:0], size)[:size]
	if _, err := file.ReadAt(record, int64(ref.Offset)); err != nil {
		return nil, readError(file, int64(ref.Offset), err)
	}
	if found, value, ok := cutRecord(record); ok && string(found) == string(key) && len(value) == int(ref.Size) {
		return value, nil
	}
	return nil, damage(file, int64(ref.Offset))
}

func damage(file *file, at int64) error {
	return fmt.Errorf("%w: %s, the value at byte %d", ErrDamaged, file.Name(), at)
}

// readError is for a read that failed: what is behind the end of a file was cut off.
func readError(file *file, at int64, err error) error {
	if errors.Is(err, io.EOF) {
		return damage(file, at)
	}
	return fmt.Errorf("the value at byte %d: %w", at, err) // err has the name of the file
}

// Walk calls see for the values of a file beginning at from, in order, and returns where it ended.
// Neither key nor value may be changed; each has memory of its own. It ends with the first error of
// see, and returns it. A file that is gone has no values.
func (f *Files) Walk(number uint32, from int64, see func(ref Ref, key, value []byte) error) (next int64, err error) {
	f.mu.RLock()
	file := f.files[number]
	size := int64(0)
	if file != nil {
		size = file.written
	}
	f.mu.RUnlock()
	var head [headSize]byte
	for from < size {
		if _, err := file.ReadAt(head[:], from); errors.Is(err, os.ErrClosed) {
			return from, nil // it was removed meanwhile
		} else if err != nil {
			return from, readError(file, from, err)
		}
		keySize, valueSize := sizes(head[:])
		length := recordSize(keySize, valueSize)
		if length > size-from {
			return from, damage(file, from)
		}
		record := make([]byte, length)
		if _, err := file.ReadAt(record, from); errors.Is(err, os.ErrClosed) {
			return from, nil
		} else if err != nil {
			return from, readError(file, from, err)
		}
		key, value, ok := cutRecord(record)
		if !ok {
			return from, damage(file, from)
		}
		if err := see(Ref{number, uint32(from), uint32(valueSize)}, key, value); err != nil {
			return from, err
		}
		from += length
	}
	return from, nil
}

// Numbers returns the numbers of all files, in order.
func (f *Files) Numbers() []uint32 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.Sorted(maps.Keys(f.files))
}

// IsOld reports whether a value was added before these files were opened.
func (f *Files) IsOld(ref Ref) bool {
	return ref.File < f.start.File || ref.File == f.start.File && ref.Offset < f.start.Size
}

// Counts are the bytes of old values in use, by the number of the file.
type Counts map[uint32]int64

// Count adds a value to counts unless it is new. It returns an error if no file can have the value.
func (f *Files) Count(counts Counts, ref Ref, keySize int) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	size := recordSize(keySize, int(ref.Size))
	file := f.files[ref.File]
	if file == nil || int64(ref.Offset)+size > file.size {
		return fmt.Errorf("%w: %s is missing, or its end is", ErrDamaged, filepath.Join(f.dir, fileName(ref.File)))
	}
	if f.IsOld(ref) {
		counts[ref.File] += size
	}
	return nil
}

// Use says that all old values are counted. Add counts the new ones.
func (f *Files) Use(counts Counts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for number, bytes := range counts {
		if file := f.files[number]; file != nil { // else they are closed
			file.live += bytes
		}
	}
}

// Free says that nothing refers to a value any more.
func (f *Files) Free(ref Ref, keySize int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if file := f.files[ref.File]; file != nil {
		file.live -= recordSize(keySize, int(ref.Size))
	}
}

// Usage returns the bytes of all files, and of those values in them that are in use.
func (f *Files) Usage() (size, live int64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, file := range f.files {
		size, live = size+file.size, live+file.live
	}
	return size, live
}

// Emptiest returns the file with the smallest part in use, and that part in bytes. The number is 0
// if there is none. If it is the newest one, nothing more is added to it.
func (f *Files) Emptiest() (number uint32, live int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	least := 1.0
	for _, n := range slices.Sorted(maps.Keys(f.files)) {
		file := f.files[n]
		if part := float64(file.live) / float64(max(file.size, 1)); file.size > 0 && part < least {
			number, live, least = n, file.live, part
		}
	}
	f.ended = f.ended || number == f.end.File && number > 0
	return number, live
}

// Wasteful returns the numbers of the files with values that are not in use. If the newest one is
// among them, nothing more is added to it.
func (f *Files) Wasteful() (numbers []uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(f.files)) {
		if f.files[n].live < f.files[n].size {
			numbers = append(numbers, n)
			f.ended = f.ended || n == f.end.File
		}
	}
	return numbers
}

// Live returns how many bytes of values in a file are in use, and whether the file is there.
func (f *Files) Live(number uint32) (live int64, found bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if file := f.files[number]; file != nil {
		return file.live, true
	}
	return 0, false
}

// RemoveUnused removes the files of which nothing is in use. All values must have been counted.
func (f *Files) RemoveUnused() error {
	f.mu.Lock()
	var unused []*file
	for number, file := range f.files {
		if file.live == 0 && file.size > 0 {
			unused = append(unused, file)
			delete(f.files, number)
		}
	}
	f.mu.Unlock()
	var err error
	for _, file := range unused {
		removed := os.Remove(file.Name())
		if errors.Is(removed, fs.ErrNotExist) {
			removed = nil
		}
		err = errors.Join(err, removed, file.Close())
	}
	return err
}
