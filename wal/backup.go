package wal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hookwheel/durable"

	"hookwheel/wal/badgerfiles"
)

// A backup is the state of one node in a file that can prove that it is whole:
//
//	"hookwheel backup 1\n" | header, JSON in one line | snapshot | SHA-256 of all before 32
//
// The number in the first line is the version of the format. The header says how many bytes the
// snapshot has.
const (
	backupMagic   = "hookwheel backup "
	backupVersion = 1
	maxHeader     = 64 << 10 // bytes
)

// BackupHeader describes a backup.
type BackupHeader struct {
	Cluster string    `json:"cluster"` // the id of the cluster it is of
	Node    string    `json:"node"`    // which node made it
	Version string    `json:"version"` // of Hookwheel
	Made    time.Time `json:"made"`    // by the clock of that node
	Index   uint64    `json:"index"`   // of the last entry applied
	Term    uint64    `json:"term"`    // of that entry
	Clock   time.Time `json:"clock"`   // of the log at that entry
	Bytes   int64     `json:"bytes"`   // of the snapshot
}

// Same reports whether two headers are of the same backup.
func (h BackupHeader) Same(other BackupHeader) bool {
	sameTimes := h.Made.Equal(other.Made) && h.Clock.Equal(other.Clock)
	h.Made, h.Clock = other.Made, other.Clock
	return sameTimes && h == other
}

// OpenBackup begins to read a backup of the store in its present state, size bytes of it, like
// OpenSnapshot, unless ctx ends before that. It fills in the rest of about. A backup is read slowly
// while the store has other work; a follower that lacks a snapshot gets it as fast as possible.
func (s *Store) OpenBackup(ctx context.Context, about BackupHeader) (size int64, content io.ReadCloser, err error) {
	stream, err := s.beginSnapshot(ctx, newRests(s.Applied))
	if err != nil {
		return 0, nil, err
	}
	about.Index, about.Term, about.Bytes = stream.meta.index, stream.meta.term, stream.size
	about.Clock, about.Made = time.UnixMilli(stream.meta.clock).UTC(), time.Now().UTC().Truncate(time.Second)
	header, err := json.Marshal(about)
	if err != nil {
		return 0, nil, errors.Join(err, stream.Close())
	}
	head := fmt.Sprintf("%s%d\n%s\n", backupMagic, backupVersion, header)
	b := &backupStream{stream: stream, sum: sha256.New()}
	b.body = io.TeeReader(io.MultiReader(strings.NewReader(head), stream), b.sum)
	b.left = int64(len(head)) + stream.size
	return b.left + sha256.Size, b, nil
}

// backupStream is the reading end of a backup.
type backupStream struct {
	stream io.Closer
	body   io.Reader // all but the sum
	left   int64     // bytes of it
	sum    hash.Hash
	tail   *bytes.Reader // the sum, once the body is read
}

func (b *backupStream) Read(data []byte) (n int, err error) {
	if b.tail != nil {
		return b.tail.Read(data)
	}
	n, err = b.body.Read(data)
	b.left -= int64(n)
	switch {
	case b.left < 0 || b.left > 0 && err == io.EOF:
		return 0, errors.New("wal: the snapshot has not the size that was measured")
	case b.left == 0 && err == io.EOF:
		b.tail, err = bytes.NewReader(b.sum.Sum(nil)), nil
	}
	return n, err
}

func (b *backupStream) Close() error { return b.stream.Close() }

const keepBackup = "Nothing was changed by it. Use another copy of this backup, or an older one"

var (
	errNoBackup  = errors.New("this is not a backup of Hookwheel: it does not begin as one does")
	errCutBackup = errors.New("the backup is cut short. " + keepBackup)
	errBadBackup = errors.New("the backup is damaged: its checksum does not match. " + keepBackup)
)

// VerifyBackup reads a backup to its end. If there is no error, the backup is complete.
func VerifyBackup(from io.Reader, progress func(done, total int64)) (BackupHeader, error) {
	return readBackup(from, func(_ BackupHeader, snapshot io.Reader) error {
		_, err := io.Copy(io.Discard, snapshot)
		return err
	}, progress)
}

// readBackup passes the snapshot of a backup to use, whose work must not count before readBackup
// has returned without an error.
func readBackup(from io.Reader, use func(BackupHeader, io.Reader) error, progress func(done, total int64)) (header BackupHeader, err error) {
	sum := sha256.New()
	in := bufio.NewReaderSize(from, 256<<10)
	if header, err = readHeader(in, sum); err != nil {
		return header, err
	}
	body := &countedReader{in: io.TeeReader(io.LimitReader(in, header.Bytes), sum), total: header.Bytes, tell: progress}
	used := use(header, body)
	if _, err := io.Copy(io.Discard, body); err != nil { // whether it is whole matters more than what use makes of it
		return header, err
	}
	if body.done < header.Bytes {
		return header, errCutBackup
	}
	var want [sha256.Size]byte
	if _, err := io.ReadFull(in, want[:]); err != nil {
		return header, errors.Join(errCutBackup, cause(err))
	}
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return header, errBadBackup
	}
	if _, err := in.ReadByte(); err == nil {
		return header, errors.New("something follows the end of the backup, which does not belong there. " + keepBackup)
	} else if err != io.EOF {
		return header, err
	}
	return header, used
}

// PeekBackup returns the header of a backup, of which in has read nothing and will have read
// nothing. Its buffer must have at least 128 KiB.
func PeekBackup(in *bufio.Reader) (BackupHeader, error) {
	text, err := in.Peek(2 * maxHeader)
	if err != nil && !errors.Is(err, io.EOF) {
		return BackupHeader{}, err
	}
	return readHeader(bufio.NewReader(bytes.NewReader(text)), sha256.New())
}

// readHeader reads the lines before the snapshot.
func readHeader(in *bufio.Reader, sum hash.Hash) (header BackupHeader, err error) {
	magic, err := readLine(in, sum)
	if err != nil || !strings.HasPrefix(magic, backupMagic) {
		return header, errors.Join(errNoBackup, err)
	}
	version, err := strconv.Atoi(strings.TrimPrefix(magic, backupMagic))
	switch {
	case err != nil || version < 1:
		return header, errNoBackup
	case version > backupVersion:
		return header, fmt.Errorf("the backup has format %d, but this program knows formats up to %d: it was made by a newer version of Hookwheel; use that one",
			version, backupVersion)
	}
	text, err := readLine(in, sum)
	if err != nil {
		return header, errors.Join(errCutBackup, err)
	}
	if err := json.Unmarshal([]byte(text), &header); err != nil || header.Bytes < int64(snapshotFrame) {
		return header, errBadBackup
	}
	return header, nil
}

// readLine reads a line, without its end.
func readLine(in *bufio.Reader, sum hash.Hash) (string, error) {
	var line []byte
	for len(line) < maxHeader {
		c, err := in.ReadByte()
		if err != nil {
			return "", cause(err)
		}
		sum.Write([]byte{c}) // never fails
		if c == '\n' {
			return string(line), nil
		}
		line = append(line, c)
	}
	return "", errBadBackup
}

// cause drops errors that only say that the input has ended. One that wraps such an error, as that
// of a download does, has another cause.
func cause(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// countedReader reports its progress.
type countedReader struct {
	in          io.Reader
	done, total int64
	tell        func(done, total int64) // may be nil
}

func (r *countedReader) Read(data []byte) (int, error) {
	n, err := r.in.Read(data)
	r.done += int64(n)
	if r.tell != nil {
		r.tell(r.done, r.total)
	}
	return n, err
}

// RestoreOptions configure Restore.
type RestoreOptions struct {
	Logger   *slog.Logger
	Progress func(done, total int64) // is told how many bytes are read; may be nil
}

// Restore creates a store in the empty folder dir from a backup. After an error or a crash, none
// of it is there; the next try removes what a crash left beside it.
func Restore(dir string, backup io.Reader, o RestoreOptions) (header BackupHeader, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir = filepath.Clean(dir)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return header, fmt.Errorf("%s is not empty: nothing was changed. Restore into a new folder, or move this one away", dir)
	}
	building := dir + ".restoring"
	if err := errors.Join(os.RemoveAll(building), os.MkdirAll(building, 0o700)); err != nil {
		return header, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(building)) }() // when all went well it is not there
	header, err = readBackup(backup, func(header BackupHeader, snapshot io.Reader) error {
		return build(building, header, snapshot, o.Logger)
	}, o.Progress)
	if err != nil {
		return header, err
	}
	return header, durable.Rename(building, dir)
}

// build creates a store from a snapshot and checks that this program can read it.
func build(dir string, header BackupHeader, snapshot io.Reader, log *slog.Logger) error {
	disk, err := newDisk(dir, 1)
	if err != nil {
		return err
	}
	if free := disk.look(); free < header.Bytes+loadReserve {
		return fmt.Errorf("the backup needs %d MiB of disk, but %s has %d MiB free", (header.Bytes+loadReserve)>>20, dir, free>>20)
	}
	config := Config{Dir: dir, Logger: log}
	path := filepath.Join(dir, badgerfiles.Prefix+"1")
	if err := loadSnapshot(config, disk, path, snapshot); err != nil {
		return err
	}
	db, _, err := openDatabase(config, path)
	if err != nil {
		return err
	}
	_, state, err := readState(db)
	if err == nil && (state.index != header.Index || state.term != header.Term) {
		err = fmt.Errorf("the backup says that it is as of entry %d, but it is as of entry %d", header.Index, state.index)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return badgerfiles.SetCurrent(dir, badgerfiles.Prefix+"1")
}
