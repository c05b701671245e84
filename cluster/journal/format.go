package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The sizes of the format, which doc.go describes.
const (
	pageSize        = 4096
	fileHeaderSize  = 40
	batchHeaderSize = 52
	recordHeadSize  = 20
	formatVersion   = 1
	maxSegment      = 1 << 31 // bytes
)

var (
	magic      = [8]byte{'H', 'W', 'J', 'O', 'U', 'R', 'N', 'L'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// ErrDamaged means that a file does not hold what was written.
var ErrDamaged = errors.New("it does not hold what was written")

// fileHeader is the first page of a segment.
type fileHeader struct {
	number uint64 // of the segment
	salt   uint64 // random, different in each use of a file
	size   uint64 // of the file
}

func (h fileHeader) encode() []byte {
	page := make([]byte, 0, pageSize)
	page = append(page, magic[:]...)
	page = binary.BigEndian.AppendUint32(page, formatVersion)
	page = binary.BigEndian.AppendUint64(page, h.number)
	page = binary.BigEndian.AppendUint64(page, h.salt)
	page = binary.BigEndian.AppendUint64(page, h.size)
	page = binary.BigEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
	return page[:pageSize]
}

func decodeFileHeader(b []byte) (h fileHeader, err error) {
	const sum = fileHeaderSize - 4
	switch {
	case [8]byte(b) != magic:
		return h, fmt.Errorf("%w: it does not begin as a segment does", ErrDamaged)
	case crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]):
		return h, fmt.Errorf("%w: the checksum of its header does not match", ErrDamaged)
	case binary.BigEndian.Uint32(b[8:]) != formatVersion:
		return h, fmt.Errorf("it has format %d, but this program knows format %d only: use the version that wrote it",
			binary.BigEndian.Uint32(b[8:]), formatVersion)
	}
	h.number = binary.BigEndian.Uint64(b[12:])
	h.salt = binary.BigEndian.Uint64(b[20:])
	h.size = binary.BigEndian.Uint64(b[28:])
	return h, nil
}

// kind is what a batch does.
type kind uint32

const (
	kindEntries    kind = 1 + iota // appends entries
	kindDropBefore                 // removes the entries before its argument
	kindDropFrom                   // removes the entries from its argument on
	kindMark                       // nothing: it shows that the batch before it is on stable storage
	kindSeal                       // ends the segment: the next one follows
)

// batchHeader begins a batch, at the start of a page.
type batchHeader struct {
	salt     uint64 // of the file
	sequence uint64 // one more than that of the batch before
	oldest   uint64 // segment that is still needed after this batch
	argument uint64
	length   uint64 // of the batch without its padding
	kind     kind
	count    uint32 // of records
}

// append appends the header to a batch.
func (h batchHeader) append(b []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, h.salt)
	b = binary.BigEndian.AppendUint64(b, h.sequence)
	b = binary.BigEndian.AppendUint64(b, h.oldest)
	b = binary.BigEndian.AppendUint64(b, h.argument)
	b = binary.BigEndian.AppendUint64(b, h.length)
	b = binary.BigEndian.AppendUint32(b, uint32(h.kind))
	b = binary.BigEndian.AppendUint32(b, h.count)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// decodeBatchHeader reports whether a page begins with a batch that was written in this use of its
// file.
func decodeBatchHeader(b []byte, salt uint64) (h batchHeader, ok bool) {
	const sum = batchHeaderSize - 4
	h.salt = binary.BigEndian.Uint64(b)
	if h.salt != salt || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) {
		return h, false
	}
	h.sequence = binary.BigEndian.Uint64(b[8:])
	h.oldest = binary.BigEndian.Uint64(b[16:])
	h.argument = binary.BigEndian.Uint64(b[24:])
	h.length = binary.BigEndian.Uint64(b[32:])
	h.kind = kind(binary.BigEndian.Uint32(b[40:]))
	h.count = binary.BigEndian.Uint32(b[44:])
	return h, true
}

// recordHead begins a record.
type recordHead struct {
	index  uint64
	tag    uint32 // the lower half of the sequence of the batch
	length uint32 // of the content
	sum    uint32 // CRC-32C of the salt, the fields above and the content
}

func decodeRecordHead(b []byte) recordHead {
	return recordHead{
		index:  binary.BigEndian.Uint64(b),
		tag:    binary.BigEndian.Uint32(b[8:]),
		length: binary.BigEndian.Uint32(b[12:]),
		sum:    binary.BigEndian.Uint32(b[16:]),
	}
}

// appendRecord appends a record. seed is that of the segment.
func appendRecord(b []byte, seed uint32, tag uint32, entry *Entry) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, entry.Index)
	b = binary.BigEndian.AppendUint32(b, tag)
	b = binary.BigEndian.AppendUint32(b, uint32(entry.size()))
	sum := crc32.Update(seed, castagnoli, b[start:])
	for _, part := range entry.Parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	b = binary.BigEndian.AppendUint32(b, sum)
	for _, part := range entry.Parts {
		b = append(b, part...)
	}
	return b
}

// seedOf returns what the checksums of the records in a file begin with.
func seedOf(salt uint64) uint32 {
	return crc32.Checksum(binary.BigEndian.AppendUint64(nil, salt), castagnoli)
}

// padded returns a length rounded up to whole pages.
func padded(length int64) int64 { return (length + pageSize - 1) &^ (pageSize - 1) }
