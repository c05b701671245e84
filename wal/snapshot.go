package wal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
)

// A snapshot is a stream of all records as of one index:
//
//	magic 8 | for each record in order of key: key, value | an empty key | number of records 8 | CRC-32C of all before 4
//
// Keys and values are preceded by their lengths as uvarints. The record of the meta key, which is
// among them, contains the index.
const snapshotMagic = "HWSNAP01"

// snapshotFrame is the size of a snapshot without records: magic, end, number and sum.
const snapshotFrame = len(snapshotMagic) + 1 + 8 + 4

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errEnded   = errors.New("wal: the store was closed or replaced while it was being read")
)

// OpenSnapshot begins to read the store in its present state, size bytes of it, while the store
// goes on. The versions that the reader needs are kept until the reader is closed. Closing or
// replacing the store does not wait for slow readers: they get an error.
func (s *Store) OpenSnapshot() (state State, size int64, content io.ReadCloser, err error) {
	stream, err := s.beginSnapshot(context.Background(), nil)
	if err != nil {
		return State{}, 0, nil, err
	}
	return stream.meta.state(), stream.size, stream, nil
}

// beginSnapshot may take long, as it counts all records. ctx ends that, but not the stream. Reading
// has these rests; nil: none.
func (s *Store) beginSnapshot(ctx context.Context, rests *rests) (*snapshotReader, error) {
	if err := s.Commit(); err != nil {
		s.config.Fatal(err)
		return nil, err
	}
	s.swap.RLock()
	index := s.snapshots.pin()
	txn := s.db.at(index)
	reader, writer := io.Pipe()
	stream := &snapshotReader{PipeReader: reader, writer: writer, ended: make(chan struct{})}
	release := func() {
		txn.Discard()
		s.snapshots.unpin(index)
		s.swap.RUnlock()
	}
	db, err := s.db, s.streams.add(stream)
	defer context.AfterFunc(ctx, stream.end)()
	if err == nil {
		err = s.guard(db, func() (err error) {
			stream.meta, stream.size, err = measureSnapshot(txn, rests, stream.ended)
			return err
		})
	}
	if err != nil {
		release()
		s.streams.remove(stream)
		return nil, err
	}
	stream.wg.Go(func() {
		defer s.streams.remove(stream)
		defer release()
		err := s.guard(db, func() error { return writeSnapshot(txn, rests, stream.ended, writer) })
		_ = writer.CloseWithError(err) // never fails
	})
	return stream, nil
}

// measureSnapshot returns the state that a snapshot contains, and its size in bytes. Badger's
// iterators skip a block that has become damaged without an error, so the records are counted.
func measureSnapshot(txn transaction, rests *rests, ended <-chan struct{}) (state meta, size int64, err error) {
	item, err := txn.Get(metaKey)
	if errors.Is(err, badger.ErrKeyNotFound) && txn.ReadTs() > 0 { // that is what Badger says of a damaged block, too
		err = fmt.Errorf("%w: the state of the store is missing", badgerfiles.ErrDamaged)
	}
	if err != nil {
		return state, 0, err
	}
	if err := item.Value(state.decode); err != nil {
		return state, 0, err
	}
	size = int64(snapshotFrame)
	records := -int64(len(metaKey)) - item.ValueSize() // meta does not count itself
	err = eachRecord(txn, func(item *badger.Item) error {
		value, err := valueSize(item)
		key := int64(item.KeySize())
		size += uvarintSize(key) + key + uvarintSize(value) + value
		records += key + value
		if err == nil {
			err = rests.take(ended)
		}
		return err
	})
	if err == nil && records != state.bytes {
		err = fmt.Errorf("%w: the records take %d bytes instead of %d", badgerfiles.ErrDamaged, records, state.bytes)
	}
	return state, size, err
}

func uvarintSize(n int64) int64 {
	var space [binary.MaxVarintLen64]byte
	return int64(binary.PutUvarint(space[:], uint64(n)))
}

// eachRecord visits all records, in order of key.
func eachRecord(txn transaction, do func(*badger.Item) error) error {
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they are stored next to the keys
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if !isRecord(it.Item()) {
			continue
		}
		if err := do(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

func writeSnapshot(txn transaction, rests *rests, ended <-chan struct{}, to io.Writer) error {
	sum := crc32.New(castagnoli)
	out := bufio.NewWriterSize(io.MultiWriter(to, sum), 256<<10)
	if _, err := out.WriteString(snapshotMagic); err != nil {
		return err
	}
	var head []byte
	records := uint64(0)
	err := eachRecord(txn, func(item *badger.Item) error {
		records++
		if err := rests.take(ended); err != nil {
			return err
		}
		return txn.read(item, func(value []byte) error {
			head = binary.AppendUvarint(appendBytes(head[:0], item.Key()), uint64(len(value)))
			if _, err := out.Write(head); err != nil {
				return err
			}
			_, err := out.Write(value)
			return err
		})
	})
	if err != nil {
		return err
	}
	if _, err := out.Write(binary.BigEndian.AppendUint64([]byte{0}, records)); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err = to.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

// snapshotReader is the reading end of a snapshot. Closing it waits for the writer to stop.
type snapshotReader struct {
	*io.PipeReader
	writer *io.PipeWriter
	meta   meta
	size   int64
	ended  chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func (r *snapshotReader) Close() error {
	err := r.PipeReader.Close()
	r.wg.Wait()
	return err
}

// end stops the writer; the reader gets an error.
func (r *snapshotReader) end() {
	r.once.Do(func() {
		close(r.ended)
		_ = r.writer.CloseWithError(errEnded) // never fails
	})
}

// streams holds the snapshots that are being read.
type streams struct {
	mu     sync.Mutex
	closed bool // new ones are refused
	open   map[*snapshotReader]struct{}
}

func (s *streams) add(r *snapshotReader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errEnded
	}
	if s.open == nil {
		s.open = make(map[*snapshotReader]struct{})
	}
	s.open[r] = struct{}{}
	return nil
}

func (s *streams) remove(r *snapshotReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, r)
}

// end ends all streams and refuses new ones until begin is called.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for r := range s.open {
		r.end()
	}
}

func (s *streams) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = false
}

// readRecords reads a snapshot and passes each record to set, which must not keep it. Without a
// nil error at the end, none of the records can be trusted.
func readRecords(content io.Reader, set func(key, value []byte) error) error {
	in := &summingReader{in: bufio.NewReaderSize(content, 256<<10)}
	magic, err := in.take(nil, uint64(len(snapshotMagic)))
	if err != nil {
		return err
	}
	if !bytes.Equal(magic, []byte(snapshotMagic)) {
		return errBadSnapshot
	}
	var key, value, last []byte
	for records := uint64(0); ; records++ {
		if key, err = in.bytes(key); err != nil {
			return err
		}
		if len(key) == 0 {
			return in.trailer(records)
		}
		if records > 0 && bytes.Compare(last, key) >= 0 {
			return errBadSnapshot
		}
		last = append(last[:0], key...)
		if value, err = in.bytes(value); err != nil {
			return err
		}
		if err := set(key, value); err != nil {
			return err
		}
	}
}
