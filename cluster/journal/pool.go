package journal

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Suffix ends the names of the files that hold entries.
const Suffix = ".segment"

// The names of the files. A segment that is no longer needed becomes a spare file, and later
// another segment.
const (
	spareSuffix     = ".spare" // after the salt that it had as a segment
	temporarySuffix = ".tmp"   // while it is filled with zeros
)

func segmentName(number uint64) string { return fmt.Sprintf("%012d%s", number, Suffix) }

// parseSegmentName returns the number of a segment.
func parseSegmentName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, Suffix)
	if !ok || len(digits) != 12 {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

// pool makes segments, of spare files if there are any. It is used from two goroutines: one
// prepares the next segment, one removes entries.
type pool struct {
	files fileSystem
	dir   string

	mu     sync.Mutex
	spares []*spare
	bytes  int64 // of all files
	round  int   // how often renew was called; files that were made in an earlier round are not used again
}

type spare struct {
	file
	path string
	size int64
	made int // the round
}

// make makes a segment: of a spare file that has least bytes, or a new one of that size. Its
// header is durable, and so is its name: a crash before that leaves a spare file or a temporary
// one.
func (p *pool) make(number uint64, least, size int64) (*segment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := p.take(number, least, size)
	if err != nil {
		return nil, err
	}
	header := fileHeader{number: number, salt: newSalt(), size: uint64(s.size)}
	path := filepath.Join(p.dir, segmentName(number))
	_, err = s.WriteAt(header.encode(), 0)
	if err == nil {
		err = s.sync()
	}
	if err == nil {
		err = p.files.rename(s.path, path)
	}
	if err == nil {
		err = p.files.syncDir(p.dir)
	}
	if err != nil {
		p.bytes -= s.size
		return nil, errors.Join(fmt.Errorf("making %s: %w", path, err), s.Close())
	}
	return &segment{file: s.file, path: path, header: header, seed: seedOf(header.salt), end: pageSize, made: s.made}, nil
}

// newSalt returns a number that nobody who writes to the journal can know.
func newSalt() uint64 {
	var random [8]byte
	rand.Read(random[:]) // never fails
	return binary.BigEndian.Uint64(random[:])
}

// take removes the largest spare file from the pool if it has least bytes, or creates a file of
// that size. First it removes those of earlier rounds.
func (p *pool) take(number uint64, least, size int64) (*spare, error) {
	if err := p.trim(math.MaxInt64); err != nil {
		return nil, err
	}
	if len(p.spares) > 0 {
		s := slices.MaxFunc(p.spares, func(a, b *spare) int { return cmp.Compare(a.size, b.size) })
		if s.size >= least {
			p.spares = slices.DeleteFunc(p.spares, func(other *spare) bool { return other == s })
			return s, nil
		}
	}
	s := &spare{path: filepath.Join(p.dir, segmentName(number)+temporarySuffix), size: size, made: p.round}
	var err error
	if s.file, err = p.files.create(s.path); err != nil {
		return nil, err
	}
	if err := fillWithZeros(s.file, size); err != nil {
		// What has been written would keep the disk full.
		return nil, errors.Join(fmt.Errorf("making %s: %w", s.path, err), s.Close(), p.files.remove(s.path))
	}
	p.bytes += size
	return s, nil
}

// zeros are what is written at once; they are only read.
var zeros [1 << 20]byte

// fillWithZeros makes sure that later writes need neither space nor changes of metadata. It syncs
// in small steps, so that it does not hold up the batches that are written at the same time.
func fillWithZeros(f file, size int64) error {
	step := int64(len(zeros))
	for offset := int64(0); offset < size; offset += step {
		if _, err := f.WriteAt(zeros[:min(step, size-offset)], offset); err != nil {
			return err
		}
		if err := f.sync(); err != nil {
			return err
		}
	}
	return nil
}

// give makes spare files of segments that are no longer needed, the oldest first: a crash must not
// leave a gap. Then it removes spare files of earlier rounds, and others as long as all files
// together have more than budget bytes.
func (p *pool) give(segments []*segment, budget int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.put(segments); err != nil {
		return err
	}
	return p.trim(budget)
}

// put makes spare files of segments; mu is held.
func (p *pool) put(segments []*segment) error {
	for _, s := range segments {
		path := filepath.Join(p.dir, fmt.Sprintf("%016x%s", s.header.salt, spareSuffix))
		err := p.files.rename(s.path, path)
		if err == nil {
			err = p.files.syncDir(p.dir)
		}
		if err != nil {
			return err
		}
		p.spares = append(p.spares, &spare{s.file, path, int64(s.header.size), s.made})
	}
	return nil
}

// renew begins another round, so that no file lives on for ever with what was written to it once.
// The spare files of earlier ones are removed when the next segment is made, or given.
func (p *pool) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round++
}

// putOld makes a spare file of a segment if it was made in an earlier round.
func (p *pool) putOld(s *segment) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.made == p.round {
		return false, nil
	}
	return true, p.put([]*segment{s})
}

// trim removes spare files of earlier rounds, and others as long as all files together have more
// than budget bytes; mu is held.
func (p *pool) trim(budget int64) error {
	for i := 0; i < len(p.spares); {
		s := p.spares[i]
		if s.made == p.round && p.bytes <= budget {
			i++
			continue
		}
		if err := errors.Join(s.Close(), p.files.remove(s.path)); err != nil {
			return err
		}
		p.spares, p.bytes = slices.Delete(p.spares, i, i+1), p.bytes-s.size
	}
	return nil
}

// size returns the bytes of all files.
func (p *pool) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

func (p *pool) close() (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.spares {
		err = errors.Join(err, s.Close())
	}
	p.spares = nil
	return err
}
