package journal

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
)

// Options are what a Journal needs to know.
type Options struct {
	// SegmentSize returns the size of the next segment in bytes. It is a segment's least size: a
	// large batch gets a larger one.
	SegmentSize func() int64
	// Budget returns how many bytes all files may have before spare files are removed.
	Budget func() int64
	// NoSync leaves out all syncs, for tests that show that a loss of power is detected.
	NoSync bool
}

// Entry is what is appended: an index and its content, in parts.
type Entry struct {
	Index uint64
	Parts [][]byte
}

func (e *Entry) size() (size int) {
	for _, part := range e.Parts {
		size += len(part)
	}
	return size
}

// Journal is an append-only sequence of entries in files.
type Journal struct {
	options Options
	pool    *pool

	writing  sync.Mutex // held during each write
	failed   error      // of a write; there are no others after it
	sequence uint64     // of the last batch
	marked   bool       // the last batch is a mark or a seal
	buffer   []byte
	next     *preparation // nil before the first change
	bound    *bound
	renewed  renewal

	mu       sync.RWMutex // held while the fields below change, and while a file is read
	segments []*segment   // the last one is written
	needed   uint64       // the oldest segment that is, as the last batch says
	index    index
}

// preparation makes the segment that follows the current one, while that is written.
type preparation struct {
	done    chan struct{}
	segment *segment
	err     error
}

// maxBuffer is how large a buffer is kept for the next batch.
const maxBuffer = 4 << 20

// Append appends entries, as one batch: after a crash all of them are there or none. They are on
// stable storage when it returns. Their indexes rise, and begin after the last one in the journal.
func (j *Journal) Append(entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	_, last := j.index.bounds()
	for _, entry := range entries {
		if entry.Index <= last {
			return fmt.Errorf("entry %d can't follow entry %d", entry.Index, last)
		}
		last = entry.Index
	}
	return j.fail(j.write(kindEntries, 0, entries))
}

// DropBefore removes the entries before that index. When it returns they can't come back.
func (j *Journal) DropBefore(index uint64) error { return j.drop(kindDropBefore, index) }

// DropFrom removes the entries from that index on. When it returns they can't come back.
func (j *Journal) DropFrom(index uint64) error { return j.drop(kindDropFrom, index) }

func (j *Journal) drop(kind kind, index uint64) error {
	if err := j.writeDrop(kind, index); err != nil {
		return err
	}
	if err := j.release(); err != nil {
		j.writing.Lock()
		defer j.writing.Unlock()
		return j.fail(err)
	}
	return nil
}

func (j *Journal) writeDrop(kind kind, index uint64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	return j.fail(j.write(kind, index, nil))
}

// Mark shows, to whoever opens the journal after a crash, that the last batch was on stable
// storage: if it is not complete then, that is damage. Without a mark it may be a write that the
// crash interrupted.
func (j *Journal) Mark() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	err := j.mark()
	if err == nil {
		err = j.note()
	}
	return j.fail(err)
}

// Note notes in a file of its own, so that it is known even if much of the journal is damaged
// later, that all batches so far were on stable storage. It writes, and syncs, that file.
func (j *Journal) Note() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.failed != nil {
		return j.failed
	}
	return j.fail(j.note())
}

func (j *Journal) note() error {
	if j.options.NoSync { // nothing is on stable storage
		return nil
	}
	s := j.current()
	return j.bound.note(place{j.sequence, s.header.number, uint64(s.end)})
}

func (j *Journal) mark() error {
	if j.marked {
		return nil
	}
	if j.current().room(batchHeaderSize) {
		return j.write(kindMark, 0, nil)
	}
	j.prepare()
	if <-j.next.done; j.next.segment == nil { // the disk is full, which does not matter until something is to be written
		return nil
	}
	return j.rotate(batchHeaderSize) // a seal does as well
}

// fail keeps an error: what the files hold is unknown after a write that failed, and a second sync
// would succeed without having written anything.
func (j *Journal) fail(err error) error {
	if err != nil {
		j.failed = err
	}
	return err
}

// current is the segment that is written; writing is held.
func (j *Journal) current() *segment { return j.segments[len(j.segments)-1] }

// write writes a batch, makes it durable, and then changes the index.
func (j *Journal) write(kind kind, argument uint64, entries []Entry) error {
	length := int64(batchHeaderSize)
	for i := range entries {
		length += recordHeadSize + int64(entries[i].size())
	}
	if kind != kindMark {
		j.prepare()
	}
	if length > maxSegment-3*pageSize {
		return fmt.Errorf("a batch of %d bytes is more than a file can hold", length)
	}
	if !j.current().room(length) {
		if err := j.rotate(length); err != nil {
			return err
		}
	}
	changed := j.after(kind, argument)
	slots, err := j.writeBatch(batchHeader{kind: kind, argument: argument, length: uint64(length), count: uint32(len(entries)),
		oldest: j.oldest(changed)}, entries)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.index = append(changed, slots...)
	return nil
}

// after returns the index after a batch of that kind, without what it appends. The slots
// themselves are not changed, because somebody may be reading them.
func (j *Journal) after(kind kind, argument uint64) index {
	switch kind {
	case kindDropBefore:
		return j.index.dropBefore(argument)
	case kindDropFrom:
		return j.index.dropFrom(argument)
	default:
		return j.index
	}
}

// oldest returns the number of the first segment that is needed by an index.
func (j *Journal) oldest(x index) uint64 {
	if len(x) > 0 {
		return x[0].segment.header.number
	}
	return j.current().header.number
}

// writeBatch writes a batch to the current segment, and returns the places of its entries.
func (j *Journal) writeBatch(h batchHeader, entries []Entry) ([]slot, error) {
	s := j.current()
	h.salt, h.sequence = s.header.salt, j.sequence+1
	b := h.append(j.buffer[:0])
	slots := make([]slot, len(entries))
	for i := range entries {
		slots[i] = slot{entries[i].Index, s, uint32(s.end) + uint32(len(b)), uint32(entries[i].size())}
		b = appendRecord(b, s.seed, uint32(h.sequence), &entries[i])
	}
	b = append(b, make([]byte, padded(int64(len(b)))-int64(len(b)))...)
	if j.buffer = b; cap(b) > maxBuffer {
		j.buffer = nil
	}
	if _, err := s.WriteAt(b, s.end); err != nil {
		return nil, fmt.Errorf("writing %s: %w", s.path, err)
	}
	if err := s.sync(); err != nil {
		return nil, fmt.Errorf("syncing %s: %w", s.path, err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.end += int64(len(b))
	j.sequence, j.marked, j.needed = h.sequence, h.kind == kindMark || h.kind == kindSeal, h.oldest
	return slots, nil
}

// prepare begins to make the segment after the current one, unless it has begun.
func (j *Journal) prepare() {
	if j.next != nil {
		return
	}
	p := &preparation{done: make(chan struct{})}
	j.next = p
	number, size := j.current().header.number+1, j.segmentSize(0)
	least := min(size, int64(j.current().header.size)/2) // large enough for the batches of now
	go func() {
		defer close(p.done)
		p.segment, p.err = j.pool.make(number, least, size)
	}()
}

// segmentSize returns the size of a new segment that has room for a batch of that length.
func (j *Journal) segmentSize(length int64) int64 {
	return padded(max(j.options.SegmentSize(), segmentFor(length)))
}

// segmentFor returns the size of the smallest segment that has room for a batch of that length.
func segmentFor(length int64) int64 { return 3*pageSize + padded(length) }

// rotate seals the current segment and goes on in the next one, which has room for a batch of that
// length.
func (j *Journal) rotate(length int64) error {
	<-j.next.done
	next, failed := j.next.segment, j.next.err
	if next != nil && !next.room(length) {
		if err := j.pool.give([]*segment{next}, j.options.Budget()); err != nil {
			return err
		}
		next = nil
	}
	if next == nil {
		if failed != nil && !errors.Is(failed, syscall.ENOSPC) { // there may be room now
			return failed
		}
		var err error
		number, size := j.current().header.number+1, j.segmentSize(length)
		if next, err = j.pool.make(number, segmentFor(length), size); err != nil {
			return err
		}
	}
	if _, err := j.writeBatch(batchHeader{kind: kindSeal, length: batchHeaderSize, oldest: j.oldest(j.index)}, nil); err != nil {
		return err
	}
	j.mu.Lock()
	next.base = j.current().base + j.current().end
	j.segments = append(j.segments, next)
	j.mu.Unlock()
	j.next = nil
	j.prepare()
	return nil
}

// release gives back the segments that are not needed any more.
func (j *Journal) release() error {
	released := j.takeReleased()
	return j.pool.give(released, j.options.Budget())
}

// takeReleased removes them from the list of segments, which writers read with only writing held.
func (j *Journal) takeReleased() []*segment {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for j.segments[n].header.number < j.needed {
		n++
	}
	released := j.segments[:n:n]
	j.segments = j.segments[n:]
	return released
}

// Read returns the content of an entry, and false if there is no such entry.
func (j *Journal) Read(index uint64) (content []byte, found bool, err error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	s, ok := j.index.find(index)
	if !ok {
		return nil, false, nil
	}
	if content, err = s.segment.readRecord(s); err != nil {
		return nil, true, fmt.Errorf("%s, byte %d: %w", s.segment.path, s.offset, err)
	}
	return content, true, nil
}

// ReadAt reads a part of the content of an entry, from an offset on, and fills part. It reports
// false if there is no such entry or it ends before. A part can't be verified: only Read does.
func (j *Journal) ReadAt(part []byte, index uint64, offset int64) (found bool, err error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	s, ok := j.index.find(index)
	if !ok || offset < 0 || offset+int64(len(part)) > int64(s.size) {
		return false, nil
	}
	if err := s.segment.read(part, int64(s.offset)+recordHeadSize+offset); err != nil {
		return true, fmt.Errorf("%s, byte %d: %w", s.segment.path, s.offset, err)
	}
	return true, nil
}

// Bounds returns the first and the last index, or 0 and 0 if the journal is empty.
func (j *Journal) Bounds() (first, last uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.index.bounds()
}

// Bytes returns how many bytes of the files the entries take, from the first one to the end.
func (j *Journal) Bytes() int64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.index) == 0 {
		return 0
	}
	return j.length() - j.index[0].position()
}

// length is the position of the end; mu is held.
func (j *Journal) length() int64 {
	last := j.segments[len(j.segments)-1]
	return last.base + last.end
}

// Newest returns the first of the newest entries, at most count of them, that together take at
// most size bytes; the last entry is always among them. It returns 0 if the journal is empty.
func (j *Journal) Newest(count int, size int64) uint64 {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.index) == 0 {
		return 0
	}
	at := max(0, len(j.index)-count)
	for from := j.length() - size; at < len(j.index)-1 && j.index[at].position() < from; {
		at++
	}
	return j.index[at].index
}

// FileSize returns the bytes of all files, including those that are prepared.
func (j *Journal) FileSize() int64 { return j.pool.size() }
