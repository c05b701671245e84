package wal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// A snapshot is a stream of all records as of one index:
//
//	magic 8 | for each record in order of key: key, value | an empty key | number of records 8 | CRC-32C of all before 4
//
// Keys and values have their length before them, a uvarint. The record of the meta key is among them: it says which index.
const snapshotMagic = "HWSNAP01"

var (
	castagnoli     = crc32.MakeTable(crc32.Castagnoli)
	errBadSnapshot = errors.New("wal: the snapshot is cut short or damaged")
)

// maxRecord bounds what a damaged length can make us allocate, in bytes.
const maxRecord = 64 << 20

// OpenSnapshot begins to read the store as it stands, size bytes of it, while it goes on. The versions that the reader needs
// are kept until it is closed.
func (s *Store) OpenSnapshot() (state State, size int64, content io.ReadCloser, err error) {
	if err := s.Commit(); err != nil {
		s.config.Fatal(err)
		return State{}, 0, nil, err
	}
	s.swap.RLock()
	index := s.snapshots.pin()
	txn := s.db.NewTransactionAt(index, false)
	release := func() {
		txn.Discard()
		s.snapshots.unpin(index)
		s.swap.RUnlock()
	}
	counted := new(countingWriter)
	if err := writeSnapshot(txn, counted); err != nil {
		release()
		return State{}, 0, nil, err
	}
	state, err = stateOf(txn)
	if err != nil {
		release()
		return State{}, 0, nil, err
	}
	reader, writer := io.Pipe()
	stream := &snapshotReader{PipeReader: reader}
	stream.wg.Go(func() {
		defer release()
		writer.CloseWithError(writeSnapshot(txn, writer))
	})
	return state, counted.n, stream, nil
}

func stateOf(txn *badger.Txn) (State, error) {
	item, err := txn.Get(metaKey)
	if err != nil {
		return State{}, err
	}
	var m meta
	err = item.Value(m.decode)
	return m.state(), err
}

type countingWriter struct{ n int64 }

func (c *countingWriter) Write(data []byte) (int, error) {
	c.n += int64(len(data))
	return len(data), nil
}

// snapshotReader waits for the writer when it is closed.
type snapshotReader struct {
	*io.PipeReader
	wg sync.WaitGroup
}

func (r *snapshotReader) Close() error {
	err := r.PipeReader.Close()
	r.wg.Wait()
	return err
}

func writeSnapshot(txn *badger.Txn, to io.Writer) error {
	sum := crc32.New(castagnoli)
	out := bufio.NewWriterSize(io.MultiWriter(to, sum), 256<<10)
	if _, err := out.WriteString(snapshotMagic); err != nil {
		return err
	}
	records := uint64(0)
	it := txn.NewIterator(badger.DefaultIteratorOptions)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		records++
		item := it.Item()
		err := item.Value(func(value []byte) error {
			head := appendBytes(nil, item.Key())
			if _, err := out.Write(binary.AppendUvarint(head, uint64(len(value)))); err != nil {
				return err
			}
			_, err := out.Write(value)
			return err
		})
		if err != nil {
			return err
		}
	}
	if _, err := out.Write(binary.BigEndian.AppendUint64([]byte{0}, records)); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := to.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// RestoreSnapshot replaces this store by what OpenSnapshot gave elsewhere. A crash before it returns leaves the old store or
// the new one.
func (s *Store) RestoreSnapshot(content io.Reader) error {
	s.applying.Lock()
	defer s.applying.Unlock()
	path, name, err := nextDir(s.config.Dir)
	if err != nil {
		return err
	}
	if err := s.loadSnapshot(path, content); err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	db, err := openBadger(s.config, path)
	if err != nil {
		return err
	}
	s.staged.discard()
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := s.load(db); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := setCurrent(s.config.Dir, name); err != nil { // from here on the new one counts
		return errors.Join(err, db.Close())
	}
	old := s.db
	s.db = db
	return errors.Join(old.Close(), os.RemoveAll(filepath.Join(s.config.Dir, filepath.Base(old.Opts().Dir))))
}

// loadSnapshot writes a new Badger folder. Closing it makes it durable.
func (s *Store) loadSnapshot(path string, content io.Reader) error {
	db, err := badger.OpenManaged(badgerOptions(path, s.config.Logger).WithSyncWrites(false))
	if err != nil {
		return err
	}
	return errors.Join(readSnapshot(db, content), db.Close())
}

func readSnapshot(db *badger.DB, content io.Reader) error {
	in := &summingReader{in: bufio.NewReaderSize(content, 256<<10), sum: crc32.New(castagnoli)}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(in, magic); err != nil || !bytes.Equal(magic, []byte(snapshotMagic)) {
		return errBadSnapshot
	}
	load := &loader{db: db}
	defer load.discard()
	for records := uint64(0); ; records++ {
		key, err := in.bytes()
		if err != nil {
			return err
		}
		if len(key) == 0 {
			if err := in.trailer(records); err != nil {
				return err
			}
			return load.commit()
		}
		value, err := in.bytes()
		if err != nil {
			return err
		}
		if err := load.set(key, value); err != nil {
			return err
		}
	}
}

// loader writes records in transactions as large as Badger takes, all at version 1: what Apply writes later is newer.
type loader struct {
	db  *badger.DB
	txn *badger.Txn
}

func (l *loader) set(key, value []byte) error {
	if l.txn == nil {
		l.txn = l.db.NewTransactionAt(1, true)
	}
	err := l.txn.Set(key, value)
	if errors.Is(err, badger.ErrTxnTooBig) {
		if err := l.commit(); err != nil {
			return err
		}
		return l.set(key, value)
	}
	return err
}

func (l *loader) commit() error {
	if l.txn == nil {
		return nil
	}
	err := l.txn.CommitAt(1, nil)
	l.txn = nil
	return err
}

func (l *loader) discard() {
	if l.txn != nil {
		l.txn.Discard()
	}
}

// summingReader sums what is read.
type summingReader struct {
	in  *bufio.Reader
	sum hash.Hash32
}

func (r *summingReader) Read(data []byte) (int, error) {
	n, err := r.in.Read(data)
	r.sum.Write(data[:n])
	return n, err
}

// ReadByte lets binary.ReadUvarint read.
func (r *summingReader) ReadByte() (byte, error) {
	c, err := r.in.ReadByte()
	if err == nil {
		r.sum.Write([]byte{c})
	}
	return c, err
}

func (r *summingReader) bytes() ([]byte, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil || size > maxRecord {
		return nil, errBadSnapshot
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("%w: %w", errBadSnapshot, err)
	}
	return data, nil
}

func (r *summingReader) trailer(records uint64) error {
	var count [8]byte
	if _, err := io.ReadFull(r, count[:]); err != nil {
		return errBadSnapshot
	}
	want := r.sum.Sum32()
	var sum [4]byte
	if _, err := io.ReadFull(r.in, sum[:]); err != nil {
		return errBadSnapshot
	}
	if binary.BigEndian.Uint64(count[:]) != records || binary.BigEndian.Uint32(sum[:]) != want {
		return errBadSnapshot
	}
	return nil
}
