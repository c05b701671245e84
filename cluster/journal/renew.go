package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"syscall"
	"time"
)

// Renew seals the current file and goes on in a new one. It removes the spare files, and has those
// that are in use now removed, too, once their entries are, instead of used again. So what a file
// held, in its unused part too, is gone when all entries from before the call are removed. It
// returns the last of these, 0 if there is none, and false if it could not begin a new file: the
// disk is full.
func (j *Journal) Renew() (last uint64, done bool, err error) {
	j.pool.renew()
	next, err := j.renewNext()
	for err == nil && next != nil {
		<-next.done // not with writing held: removing files and filling one may take long
		last, done, next, err = j.beginNew()
	}
	if err == nil && done {
		j.writing.Lock()
		j.renewed = renewal{j.current().header.number, last, time.Now()}
		j.writing.Unlock()
	}
	return last, done, err
}

// Renewed returns what the last complete Renew returned, in an earlier process perhaps if that
// called NoteRenewal, and when that was by the clock of this machine. The time is zero if that is
// not known.
func (j *Journal) Renewed() (last uint64, at time.Time) {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.renewed.last, j.renewed.at
}

const (
	renewedName = "renewed"
	renewedSize = 40
)

var renewedMagic = [8]byte{'H', 'W', 'R', 'E', 'N', 'E', 'W', 'D'}

// renewal is what the file renewed says of the last Renew. Nothing but when what is removed leaves
// the disk depends on it, so a file that is damaged counts as one that is missing, and a journal
// goes on where it can be neither read nor written.
type renewal struct {
	segment uint64    // in which the journal went on; those before it are not used again
	last    uint64    // entry before that
	at      time.Time // zero: it is not known
}

func (r *renewal) encode() []byte {
	b := make([]byte, 0, renewedSize)
	b = append(b, renewedMagic[:]...)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = binary.BigEndian.AppendUint64(b, r.segment)
	b = binary.BigEndian.AppendUint64(b, r.last)
	b = binary.BigEndian.AppendUint64(b, uint64(r.at.UnixMilli()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeRenewal(b []byte) (r renewal) {
	const sum = renewedSize - 4
	if [8]byte(b) != renewedMagic || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) ||
		binary.BigEndian.Uint32(b[8:]) != formatVersion {
		return r
	}
	return renewal{binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:]), time.UnixMilli(int64(binary.BigEndian.Uint64(b[28:])))}
}

// NoteRenewal writes for a later process what Renewed returns. After an error other than of I/O the
// journal goes on; a later process renews it sooner.
func (j *Journal) NoteRenewal() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	f, err := createFile(j.pool.files, filepath.Join(j.pool.dir, renewedName), j.renewed.encode())
	if err == nil {
		err = f.Close()
	}
	if errors.Is(err, syscall.EIO) { // it may be about the segments, which are in the same folder
		return j.fail(err)
	}
	return err
}

// readRenewal reads the file renewed, and has the files from before it not be used again. One that
// can't be read counts as missing.
func (r *recovery) readRenewal() {
	f, err := r.files.open(filepath.Join(r.dir, renewedName))
	if err != nil {
		return
	}
	var b [renewedSize]byte
	if size, err := f.size(); err == nil && size == renewedSize {
		if _, err := f.ReadAt(b[:], 0); err == nil {
			r.renewed = decodeRenewal(b[:])
		}
	}
	_ = f.Close()
}

// renewNext has the next segment made of a new file.
func (j *Journal) renewNext() (*preparation, error) {
	j.awaitNext()
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	if j.next != nil {
		if <-j.next.done; j.next.segment == nil {
			j.next = nil
		} else if old, err := j.pool.putOld(j.next.segment); err != nil {
			return nil, j.fail(err)
		} else if old {
			j.next = nil
		}
	}
	j.prepare()
	return j.next, nil
}

// awaitNext waits until the next segment is prepared, or can't be.
func (j *Journal) awaitNext() {
	j.writing.Lock()
	next := j.next
	j.writing.Unlock()
	if next != nil {
		<-next.done
	}
}

// beginNew goes on in the new file. If a batch needed that meanwhile, it returns the one after it,
// which is being prepared.
func (j *Journal) beginNew() (last uint64, done bool, next *preparation, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return 0, false, nil, j.failed
	}
	select {
	case <-j.next.done:
	default:
		return 0, false, j.next, nil
	}
	if j.next.segment == nil { // it does not matter until something is to be written
		return 0, false, nil, nil
	}
	_, last = j.index.bounds()
	return last, true, nil, j.fail(j.rotate(batchHeaderSize))
}
