package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Open opens the journal in a folder, or creates it. The caller makes sure that nobody else uses
// the folder.
func Open(dir string, options Options) (*Journal, error) {
	return open(dir, options, osFiles{options.NoSync})
}

func open(dir string, options Options, files fileSystem) (*Journal, error) {
	r := recovery{Journal: &Journal{options: options, pool: &pool{files: files, dir: dir}}, files: files, dir: dir}
	if err := r.run(); err != nil {
		return nil, errors.Join(err, r.closeFiles())
	}
	return r.Journal, nil
}

// recovery finds out what a journal holds.
type recovery struct {
	*Journal
	files  fileSystem
	dir    string
	last   *batch // the last one that is complete
	bounds bool   // the file of the bound is there
	buffer []byte
}

func (r *recovery) run() error {
	numbers, err := r.list()
	if err != nil {
		return err
	}
	// What a killed process has created or renamed may not be durable yet.
	if err := r.files.syncDir(r.dir); err != nil {
		return err
	}
	if err := r.openBound(numbers); err != nil {
		return err
	}
	if len(numbers) == 0 {
		first, err := r.pool.make(1, segmentFor(0), r.segmentSize(0))
		if err != nil {
			return err
		}
		r.segments = []*segment{first}
	}
	if err := r.openSegments(numbers); err != nil {
		return err
	}
	if err := r.readSegments(); err != nil {
		return err
	}
	if err := r.writeAgain(); err != nil {
		return err
	}
	if r.current().room(batchHeaderSize) { // else the next batch is a seal, in the next page
		if err := r.write(kindMark, 0, nil); err != nil {
			return err
		}
	}
	return r.release()
}

// list returns the numbers of the segments, in order, and opens the spare files.
func (r *recovery) list() (numbers []uint64, err error) {
	names, err := r.files.list(r.dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		path := filepath.Join(r.dir, name)
		number, isSegment := parseSegmentName(name)
		switch {
		case name == boundName:
			r.bounds = true
		case name == renewedName:
			r.readRenewal()
		case isSegment:
			numbers = append(numbers, number)
		case strings.HasSuffix(name, spareSuffix):
			err = r.openSpare(path)
		case strings.HasSuffix(name, temporarySuffix):
			err = r.files.remove(path)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openBound opens the file of the bound, or makes that of a journal that has no segments yet.
func (r *recovery) openBound(numbers []uint64) (err error) {
	switch {
	case r.bounds:
		r.bound, err = openBound(r.files, r.dir)
	case len(numbers) > 0:
		err = fmt.Errorf("%s: %w: the file is missing", filepath.Join(r.dir, boundName), ErrDamaged)
	default:
		r.bound, err = createBound(r.files, r.dir)
	}
	if err == nil && len(numbers) == 0 && r.bound.noted.sequence > 0 {
		return r.missing(r.bound.noted.segment)
	}
	return err
}

// damagedEnd is the error for a journal that looks like one of which a crash interrupted the last
// write, but had more on stable storage.
func (r *recovery) damagedEnd() error {
	s, noted := r.current(), r.bound.noted
	return fmt.Errorf("%s, byte %d: %w: batch %d ends there, the last one that is complete, but batch %d, which ended at byte %d of %s, was on stable storage",
		s.path, s.end, ErrDamaged, r.sequence, noted.sequence, noted.end, segmentName(noted.segment))
}

func (r *recovery) openSpare(path string) error {
	f, err := r.files.open(path)
	if err != nil {
		return err
	}
	size, err := f.size()
	if err != nil || size < 3*pageSize || size > maxSegment || size%pageSize != 0 {
		return errors.Join(err, f.Close(), r.files.remove(path))
	}
	r.pool.spares = append(r.pool.spares, &spare{file: f, path: path, size: size})
	r.pool.bytes += size
	return nil
}

func (r *recovery) openSegments(numbers []uint64) error {
	for i, number := range numbers {
		if i > 0 && number != numbers[i-1]+1 {
			return r.missing(numbers[i-1] + 1)
		}
		s, err := openSegment(r.files, filepath.Join(r.dir, segmentName(number)), number)
		if err != nil {
			return err
		}
		if number < r.renewed.segment {
			s.made = earlierRound
		}
		r.segments = append(r.segments, s)
		r.pool.bytes += int64(s.header.size)
	}
	return nil
}

func (r *recovery) missing(number uint64) error {
	return fmt.Errorf("%s: %w: the file is missing", filepath.Join(r.dir, segmentName(number)), ErrDamaged)
}

// readSegments reads all segments and builds the index.
func (r *recovery) readSegments() error {
	r.buffer = make([]byte, scanBuffer)
	defer func() { r.buffer = nil }()
	for i, s := range r.segments {
		if i > 0 {
			s.base = r.segments[i-1].base + r.segments[i-1].end
		}
		sealed, err := r.readSegment(s)
		switch {
		case err != nil:
			return err
		case sealed && i == len(r.segments)-1:
			return r.missing(s.header.number + 1)
		case !sealed && i < len(r.segments)-1:
			if err := r.dropPrepared(s, r.segments[i+1:]); err != nil {
				return err
			}
			r.segments = r.segments[:i+1]
		}
		if !sealed {
			break
		}
	}
	first := r.segments[0].header.number
	switch {
	case r.sequence < r.bound.noted.sequence:
		return r.damagedEnd()
	case r.last == nil && first > 1: // it was prepared, and the one before it is given back later
		return r.missing(first - 1)
	case r.last != nil && r.last.oldest < first:
		return r.missing(r.last.oldest)
	}
	return nil
}

// dropPrepared makes a spare file of the segment that was prepared when a crash came. There is
// only one, and nothing was written to it, because the segment before it is not sealed.
func (r *recovery) dropPrepared(unsealed *segment, rest []*segment) error {
	for _, s := range rest {
		found, err := newScanner(s, r.buffer).anyBatch(pageSize)
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if found > 0 || len(rest) > 1 {
			return damagedBatch(unsealed)
		}
	}
	return r.pool.give(rest, r.options.Budget())
}

func damagedBatch(s *segment) error {
	return fmt.Errorf("%s, byte %d: %w, although something was written after that", s.path, s.end, ErrDamaged)
}

// readSegment reads the batches of a segment up to its end, which is a seal, or a place after
// which nothing was written.
func (r *recovery) readSegment(s *segment) (sealed bool, err error) {
	scanner := newScanner(s, r.buffer)
	for !sealed {
		b, err := scanner.batch(s.end)
		if errors.Is(err, errNoBatch) {
			return false, r.checkEnd(scanner)
		}
		if err == nil {
			err = r.apply(b)
		}
		if err != nil {
			return false, fmt.Errorf("%s, byte %d: %w", s.path, s.end, err)
		}
		s.end += padded(int64(b.length))
		sealed = b.kind == kindSeal
	}
	return true, nil
}

// checkEnd makes sure that the batch that is not complete, if there is one, is the last. A batch
// is written after the one before it was synced, so if a later one is there, this one is damaged.
func (r *recovery) checkEnd(scanner *scanner) error {
	s := scanner.segment
	found, err := scanner.anyBatch(s.end + pageSize)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if found > 0 {
		return damagedBatch(s)
	}
	return nil
}

// apply does what a batch says.
func (r *recovery) apply(b *batch) error {
	if r.last != nil && b.sequence != r.sequence+1 || b.oldest > b.segment.header.number {
		return fmt.Errorf("%w: batch %d follows batch %d", ErrDamaged, b.sequence, r.sequence)
	}
	_, last := r.index.bounds()
	for _, s := range b.slots {
		if s.index <= last {
			return fmt.Errorf("%w: entry %d follows entry %d", ErrDamaged, s.index, last)
		}
		last = s.index
	}
	r.index = append(r.after(b.kind, b.argument), b.slots...)
	r.sequence, r.marked, r.needed, r.last = b.sequence, b.kind == kindMark || b.kind == kindSeal, b.oldest, b
	return nil
}

// writeAgain writes the last batch again, as it is. It may be in the memory of the operating
// system only: because the process was killed before it synced it, or because the sync failed.
func (r *recovery) writeAgain() error {
	b := r.last
	if b == nil {
		return nil
	}
	buffer := make([]byte, min(scanBuffer, padded(int64(b.length))))
	for offset, end := b.offset, b.offset+padded(int64(b.length)); offset < end; {
		part := buffer[:min(int64(len(buffer)), end-offset)]
		if err := b.segment.read(part, offset); err != nil {
			return fmt.Errorf("%s: %w", b.segment.path, err)
		}
		if _, err := b.segment.WriteAt(part, offset); err != nil {
			return fmt.Errorf("writing %s: %w", b.segment.path, err)
		}
		offset += int64(len(part))
	}
	if err := b.segment.sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", b.segment.path, err)
	}
	return nil
}

// Close closes the files, after it has marked the last batch.
func (j *Journal) Close() error {
	err := j.Mark()
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed == nil {
		j.failed = errors.New("the journal is closed")
	}
	if j.next != nil {
		if <-j.next.done; j.next.segment != nil {
			err = errors.Join(err, j.next.segment.Close())
		}
	}
	return errors.Join(err, j.closeFiles())
}

func (j *Journal) closeFiles() (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		err = errors.Join(err, s.Close())
	}
	if j.bound != nil {
		err = errors.Join(err, j.bound.Close())
	}
	return errors.Join(err, j.pool.close())
}
