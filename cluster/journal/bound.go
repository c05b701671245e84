package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

const (
	boundName = "synced"
	boundSize = 40
)

var boundMagic = [8]byte{'H', 'W', 'S', 'Y', 'N', 'C', 'E', 'D'}

// bound is a file that notes, now and then, which batch was on stable storage. It has two pages
// that are written in turn, so a crash spoils one of them at most, and the other is true, too.
type bound struct {
	file
	path  string
	noted place
	page  int64 // that is written next: 0 or 1
}

// place is where a batch ends.
type place struct {
	sequence uint64 // of the batch
	segment  uint64 // its number
	end      uint64
}

func (p place) encode() []byte {
	page := make([]byte, 0, pageSize)
	page = append(page, boundMagic[:]...)
	page = binary.BigEndian.AppendUint32(page, formatVersion)
	page = binary.BigEndian.AppendUint64(page, p.sequence)
	page = binary.BigEndian.AppendUint64(page, p.segment)
	page = binary.BigEndian.AppendUint64(page, p.end)
	page = binary.BigEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
	return page[:pageSize]
}

// decodePlace reports whether a page holds a place.
func decodePlace(b []byte) (p place, ok bool) {
	const sum = boundSize - 4
	if [8]byte(b) != boundMagic || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) ||
		binary.BigEndian.Uint32(b[8:]) != formatVersion {
		return p, false
	}
	return place{binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:]), binary.BigEndian.Uint64(b[28:])}, true
}

// createBound makes the file of a new journal.
func createBound(files fileSystem, dir string) (*bound, error) {
	b := &bound{path: filepath.Join(dir, boundName), page: 1}
	var err error
	if b.file, err = createFile(files, b.path, append(place{}.encode(), make([]byte, pageSize)...)); err != nil {
		return nil, err
	}
	return b, nil
}

// createFile creates a file, or replaces one: after a crash it is as before, or complete.
func createFile(files fileSystem, path string, contents []byte) (file, error) {
	temporary := path + temporarySuffix
	f, err := files.create(temporary)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(contents, 0)
	if err == nil {
		err = f.sync()
	}
	if err == nil {
		err = files.rename(temporary, path)
	}
	if err == nil {
		err = files.syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making %s: %w", path, err), f.Close())
	}
	return f, nil
}

func openBound(files fileSystem, dir string) (*bound, error) {
	b := &bound{path: filepath.Join(dir, boundName)}
	f, err := files.open(b.path)
	if err != nil {
		return nil, err
	}
	b.file = f
	if err := b.readPages(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", b.path, err), f.Close())
	}
	return b, nil
}

func (b *bound) readPages() error {
	size, err := b.size()
	if err != nil {
		return err
	}
	if size != 2*pageSize {
		return fmt.Errorf("%w: it has %d bytes", ErrDamaged, size)
	}
	found := false
	for page := range int64(2) {
		var raw [boundSize]byte
		if _, err := b.ReadAt(raw[:], page*pageSize); err != nil {
			return err
		}
		if p, ok := decodePlace(raw[:]); ok && (!found || p.sequence >= b.noted.sequence) {
			found, b.noted, b.page = true, p, 1-page
		}
	}
	if !found {
		return fmt.Errorf("%w: the checksums of both of its pages do not match", ErrDamaged)
	}
	return nil
}

// note notes a place, where the journal was on stable storage before.
func (b *bound) note(p place) error {
	if p.sequence == b.noted.sequence {
		return nil
	}
	if _, err := b.WriteAt(p.encode(), b.page*pageSize); err != nil {
		return fmt.Errorf("writing %s: %w", b.path, err)
	}
	if err := b.sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", b.path, err)
	}
	b.noted, b.page = p, 1-b.page
	return nil
}
