package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// segment is a file of the journal.
type segment struct {
	file
	path   string
	header fileHeader
	seed   uint32 // of the checksums of its records
	base   int64  // position of its beginning in the whole journal
	end    int64  // where the next batch is written
	made   int    // the round of the pool in which the file was filled with zeros; 0: before it was opened
}

// earlierRound is that of a file that was in use when an earlier process renewed the journal.
const earlierRound = -1

// room reports whether a batch of that length fits; the last page is for the seal.
func (s *segment) room(length int64) bool {
	return s.end+padded(length)+pageSize <= int64(s.header.size)
}

// openSegment reads the header of a segment.
func openSegment(files fileSystem, path string, number uint64) (*segment, error) {
	f, err := files.open(path)
	if err != nil {
		return nil, err
	}
	s := &segment{file: f, path: path, end: pageSize}
	if err := s.readHeader(number); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	s.seed = seedOf(s.header.salt)
	return s, nil
}

func (s *segment) readHeader(number uint64) (err error) {
	var b [fileHeaderSize]byte
	if err := s.read(b[:], 0); err != nil {
		return err
	}
	if s.header, err = decodeFileHeader(b[:]); err != nil {
		return err
	}
	size, err := s.size()
	switch {
	case err != nil:
		return err
	case s.header.number != number:
		return fmt.Errorf("%w: it is segment %d, under another name", ErrDamaged, s.header.number)
	case s.header.size%pageSize != 0 || s.header.size > maxSegment || size < int64(s.header.size):
		return fmt.Errorf("%w: %d bytes of %d are there", ErrDamaged, size, s.header.size)
	}
	return nil
}

// read fills b. A file that is too short is damaged; other errors are the disk's.
func (s *segment) read(b []byte, offset int64) error {
	_, err := s.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it ends before byte %d", ErrDamaged, offset+int64(len(b)))
	}
	return err
}

// readRecord reads and verifies a record. The content is part of a slice of its own.
func (s *segment) readRecord(r slot) ([]byte, error) {
	b := make([]byte, recordHeadSize+int(r.size))
	if err := s.read(b, int64(r.offset)); err != nil {
		return nil, err
	}
	head, content := decodeRecordHead(b), b[recordHeadSize:]
	sum := crc32.Update(crc32.Update(s.seed, castagnoli, b[:recordHeadSize-4]), castagnoli, content)
	if head.index != r.index || head.length != r.size || head.sum != sum {
		return nil, fmt.Errorf("%w: the checksum of the record does not match", ErrDamaged)
	}
	return content, nil
}

// batch is one that was found in a segment.
type batch struct {
	batchHeader
	segment *segment
	offset  int64
	slots   []slot
}

// errNoBatch means that there is no complete batch at a place: it is the end of the segment, or the
// batch is torn or damaged.
var errNoBatch = errors.New("no complete batch")

// scanner reads the batches of a segment. Its memory does not depend on what the file holds, except
// for the slots.
type scanner struct {
	segment *segment
	buffer  []byte // of scanBuffer bytes
	from    int64  // place of the buffer in the file
	filled  int
}

const scanBuffer = 64 << 10

func newScanner(s *segment, buffer []byte) *scanner { return &scanner{segment: s, buffer: buffer} }

// bytes returns what the buffer holds from a place on, at least that many bytes.
func (c *scanner) bytes(offset, least int64) ([]byte, error) {
	if offset < c.from || offset+least > c.from+int64(c.filled) {
		n := min(scanBuffer, int64(c.segment.header.size)-offset)
		if n < least {
			return nil, errNoBatch
		}
		c.filled = 0
		if err := c.segment.read(c.buffer[:n], offset); err != nil {
			return nil, err
		}
		c.from, c.filled = offset, int(n)
	}
	return c.buffer[offset-c.from : c.filled], nil
}

// header returns the header at the beginning of a page, if there is one.
func (c *scanner) header(offset int64) (h batchHeader, ok bool, err error) {
	b, err := c.bytes(offset, batchHeaderSize)
	if errors.Is(err, errNoBatch) {
		return h, false, nil
	}
	if err != nil {
		return h, false, err
	}
	h, ok = decodeBatchHeader(b, c.segment.header.salt)
	return h, ok, nil
}

// batch reads the batch at a place, and verifies it. The error is errNoBatch if there is none.
func (c *scanner) batch(offset int64) (*batch, error) {
	h, ok, err := c.header(offset)
	if err != nil {
		return nil, err
	}
	end := offset + int64(h.length)
	switch {
	case !ok, h.length < batchHeaderSize, h.length > c.segment.header.size, end > int64(c.segment.header.size):
		return nil, errNoBatch
	case h.kind < kindEntries || h.kind > kindSeal, h.kind != kindEntries && h.length != batchHeaderSize:
		return nil, errNoBatch
	}
	b := &batch{batchHeader: h, segment: c.segment, offset: offset}
	at := offset + batchHeaderSize
	for range h.count {
		if at, err = c.record(b, at, end); err != nil {
			return nil, err
		}
	}
	if at != end {
		return nil, errNoBatch
	}
	return b, nil
}

// record verifies the record at a place, adds it to the batch, and returns where it ends.
func (c *scanner) record(b *batch, at, end int64) (next int64, err error) {
	if at+recordHeadSize > end {
		return 0, errNoBatch
	}
	raw, err := c.bytes(at, recordHeadSize)
	if err != nil {
		return 0, err
	}
	head := decodeRecordHead(raw)
	next = at + recordHeadSize + int64(head.length)
	if head.tag != uint32(b.sequence) || next > end {
		return 0, errNoBatch
	}
	sum := crc32.Update(c.segment.seed, castagnoli, raw[:recordHeadSize-4])
	for offset := at + recordHeadSize; offset < next; {
		part, err := c.bytes(offset, 1)
		if err != nil {
			return 0, err
		}
		part = part[:min(int64(len(part)), next-offset)]
		sum = crc32.Update(sum, castagnoli, part)
		offset += int64(len(part))
	}
	if sum != head.sum {
		return 0, errNoBatch
	}
	b.slots = append(b.slots, slot{head.index, c.segment, uint32(at), head.length})
	return next, nil
}

// anyBatch returns the place of the first header of a batch from a place on; 0: there is none.
func (c *scanner) anyBatch(offset int64) (int64, error) {
	for ; offset+pageSize <= int64(c.segment.header.size); offset += pageSize {
		if _, ok, err := c.header(offset); err != nil || ok {
			return offset, err
		}
	}
	return 0, nil
}
