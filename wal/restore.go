package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
)

var errBadSnapshot = errors.New("wal: the snapshot is cut short or damaged")

const (
	maxRecord       = 64 << 20        // bytes; no record is larger
	recordPart      = 64 << 10        // bytes of a record to allocate before they have arrived
	loadPart        = 4 << 20         // bytes per write
	loadReserve     = 256 << 20       // bytes of disk: for writes in progress when free space falls below
	loadingInterval = 5 * time.Second // between two log lines about the progress
)

// RestoreSnapshot replaces the contents of this store with a snapshot that OpenSnapshot returned on
// another node. If the process crashes before it returns, the store has the old contents or the new
// ones. After an error it has the old ones.
func (s *Store) RestoreSnapshot(content io.Reader) error {
	s.pending.Lock()
	defer s.pending.Unlock()
	s.pending.awaitCommit()
	path, name, err := badgerfiles.Next(s.config.Dir)
	if err != nil {
		return err
	}
	if err := loadSnapshot(s.config, s.space.disk, path, content); err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	db, _, err := openDatabase(s.config, path) // its tables were written just now
	if err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	loaded, state, err := readState(db)
	if err != nil {
		return errors.Join(err, db.Close(), os.RemoveAll(path))
	}
	s.streams.end()
	defer s.streams.begin()
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := badgerfiles.SetCurrent(s.config.Dir, name); err != nil { // from here on the new folder counts
		return errors.Join(err, db.Close())
	}
	s.install(db, loaded, state, remains{})
	old := s.db
	s.db = db
	if err := errors.Join(old.Close(), os.RemoveAll(filepath.Join(s.config.Dir, filepath.Base(old.Opts().Dir)))); err != nil {
		s.config.Logger.Warn("the former state, which was replaced, could not be removed; the next start removes it", "error", err)
	}
	return nil
}

// loadSnapshot writes a new Badger folder, durably.
func loadSnapshot(config Config, disk *disk, path string, content io.Reader) error {
	// Badger's tables of a load are 32 times this size, and up to 17 of them are in memory if the
	// disk is slow.
	options := badgerOptions(path, config.badgerLog()).WithBaseTableSize(512 << 10)
	db, err := badger.OpenManaged(options)
	if err != nil {
		return err
	}
	room := func() error {
		if free := disk.now(); free < loadReserve { // a fast disk is filled between two looks
			return fmt.Errorf("the disk has %d MiB left, too little to load the state of another node", free>>20)
		}
		return nil
	}
	loading, err := withBlobs(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(readSnapshot(loading, content, config.Logger, room), loading.Close())
}

// readSnapshot fills an empty Badger folder. Records come in order, so tables are written in their
// final form: nothing passes through a log, and nothing is compacted.
func readSnapshot(db *database, content io.Reader, log *slog.Logger, room func() error) error {
	load := &loader{writer: db.NewStreamWriter(), blobs: db.blobs, log: log, room: room, told: time.Now(), part: z.NewBuffer(2*loadPart, "snapshot")}
	defer func() { _ = load.part.Release() }() // frees memory
	if err := load.writer.Prepare(); err != nil {
		load.writer.Cancel()
		return err
	}
	err := readRecords(content, load.set)
	if err == nil {
		err = load.end()
	}
	if err != nil {
		load.writer.Cancel()
		return err
	}
	return load.writer.Flush()
}

// loader writes records, all at version 1, which is older than anything that Apply writes later.
type loader struct {
	writer *badger.StreamWriter
	blobs  *blobfiles.Files
	part   *z.Buffer
	log    *slog.Logger
	room   func() error // on a full disk, writing to Badger's tables, which are memory maps, would end the process
	bytes  int64
	looked int64 // bytes when room was asked for
	told   time.Time
}

func (l *loader) set(key, value []byte) error {
	if isBlob(key[0], len(value)) {
		ref, err := l.blobs.Add(key, value)
		if err != nil {
			return err
		}
		l.add(key, ref.Append(nil), isReference)
	} else {
		l.add(key, value, 0)
	}
	l.bytes += int64(len(key) + len(value))
	if time.Since(l.told) > loadingInterval {
		l.told = time.Now()
		l.log.Info("loading the state that was sent", "loadedMiB", l.bytes>>20)
	}
	if l.part.LenNoPadding() < loadPart && l.bytes-l.looked < loadPart {
		return nil
	}
	return l.flush()
}

func (l *loader) add(key, value []byte, userMeta byte) {
	badger.KVToBuffer(&pb.KV{Key: key, Value: value, UserMeta: []byte{userMeta}, Version: 1}, l.part)
}

// end writes what is left. endKey follows all records.
func (l *loader) end() error {
	end, err := l.blobs.Sync()
	if err != nil {
		return err
	}
	l.add(endKey, end.Append(nil), isLocal)
	return l.flush()
}

func (l *loader) flush() error {
	defer l.part.Reset()
	l.looked = l.bytes
	if err := l.room(); err != nil {
		return err
	}
	return l.writer.Write(l.part)
}

// summingReader computes the sum of what it reads.
type summingReader struct {
	in  *bufio.Reader
	sum uint32
}

// ReadByte is for binary.ReadUvarint.
func (r *summingReader) ReadByte() (byte, error) {
	c, err := r.in.ReadByte()
	if err == nil {
		r.sum = crc32.Update(r.sum, castagnoli, []byte{c})
	}
	return c, err
}

// bytes reads a value preceded by its length, into space if it fits.
func (r *summingReader) bytes(space []byte) ([]byte, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, cutSnapshot(err)
	}
	if size > maxRecord {
		return nil, errBadSnapshot
	}
	return r.take(space, size)
}

// take reads size bytes. If size is damaged, it allocates no more than the input has.
func (r *summingReader) take(space []byte, size uint64) ([]byte, error) {
	data := space[:0]
	for uint64(len(data)) < size {
		have := len(data)
		part := int(min(size-uint64(have), uint64(max(recordPart, cap(data)-have))))
		data = slices.Grow(data, part)[:have+part]
		if _, err := io.ReadFull(r.in, data[have:]); err != nil {
			return nil, cutSnapshot(err)
		}
	}
	r.sum = crc32.Update(r.sum, castagnoli, data)
	return data, nil
}

// cutSnapshot turns an error of reading into errBadSnapshot.
func cutSnapshot(err error) error { return fmt.Errorf("%w: %w", errBadSnapshot, err) }

func (r *summingReader) trailer(records uint64) error {
	count, err := r.take(nil, 8)
	if err != nil {
		return err
	}
	want := r.sum
	sum, err := r.take(nil, 4)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint64(count) != records || binary.BigEndian.Uint32(sum) != want {
		return errBadSnapshot
	}
	return nil
}
