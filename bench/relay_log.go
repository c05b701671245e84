package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

const (
	relayLogSize  = 64 << 20 // bytes of the file, which is written over and over
	relayGroup    = 256      // requests that are synced at once
	relayGroupMax = 1 << 20  // bytes after which a group takes no further request
	relayHead     = 8        // bytes before an entry: its checksum and its length
)

// relayLog is a log that is written and never read: one write and one sync for all requests that
// wait, into a file whose blocks exist.
type relayLog struct {
	file    *os.File
	waiting chan logged
	ended   chan struct{}
}

// logged is a request that waits for the log.
type logged struct {
	text []byte
	done chan<- error
}

func newRelayLog(name string) (*relayLog, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < relayLogSize && err == nil; at += int64(len(zeros)) {
		_, err = file.WriteAt(zeros, at)
	}
	if err = errors.Join(err, file.Sync()); err != nil {
		return nil, errors.Join(fmt.Errorf("relay: %w", err), file.Close(), os.Remove(name))
	}
	l := &relayLog{file: file, waiting: make(chan logged, relayGroup), ended: make(chan struct{})}
	go l.run()
	return l, nil
}

// append returns when a text is on the disk.
func (l *relayLog) append(text []byte) error {
	done := make(chan error, 1)
	l.waiting <- logged{text, done}
	return <-done
}

// close ends the log, to which nothing is appended any more, and removes its file.
func (l *relayLog) close() error {
	close(l.waiting)
	<-l.ended
	return errors.Join(l.file.Close(), os.Remove(l.file.Name()))
}

func (l *relayLog) run() {
	defer close(l.ended)
	var group []byte
	var dones []chan<- error
	at := int64(0)
	for first := range l.waiting {
		group, dones = appendLogged(group[:0], first.text), append(dones[:0], first.done)
		for len(l.waiting) > 0 && len(dones) < relayGroup && len(group) < relayGroupMax {
			next := <-l.waiting
			group, dones = appendLogged(group, next.text), append(dones, next.done)
		}
		if at+int64(len(group)) > relayLogSize {
			at = 0
		}
		_, err := l.file.WriteAt(group, at)
		if err == nil {
			err = syncData(l.file)
		}
		at += int64(len(group))
		for _, done := range dones {
			done <- err
		}
	}
}

func appendLogged(dst, text []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, relayHead)...)
	binary.LittleEndian.PutUint32(dst[start+4:], uint32(len(text)))
	dst = append(dst, text...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
