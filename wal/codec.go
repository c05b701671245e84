package wal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"hookwheel/webhook"
)

// errCut means that a record or command ends too early or contains an impossible length.
var errCut = errors.New("wal: record is cut short or damaged")

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = appendBytes(dst, s)
	}
	return dst
}

// appendTime writes milliseconds since the Unix epoch, 0 for the zero time.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixMilli())
}

// reader decodes a record. After the first fault it returns zero values and keeps the fault in err,
// so one check at the end is enough.
type reader struct {
	rest []byte
	err  error
}

// newReader checks the version byte at the start of each record and command. It is small enough to
// be inlined, so that the reader takes no memory of its own.
func newReader(data []byte, newest byte) *reader {
	r := &reader{rest: data}
	r.version(newest)
	return r
}

func (r *reader) version(newest byte) {
	if version := r.byte(); r.err == nil && (version == 0 || version > newest) {
		r.err = fmt.Errorf("wal: format version %d is newer than this program understands (%d): upgrade this node", version, newest)
		r.rest = nil
	}
}

func (r *reader) more() bool { return r.err == nil && len(r.rest) > 0 }

// fail records the first fault.
func (r *reader) fail() {
	r.rest = nil
	if r.err == nil {
		r.err = errCut
	}
}

// take returns the next n bytes, as a slice of the record itself.
func (r *reader) take(n uint64) []byte {
	if uint64(len(r.rest)) < n {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// end returns the fault of a record that must end here: trailing bytes are damage too.
func (r *reader) end() error {
	if r.more() {
		r.fail()
	}
	return r.err
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// number reads a number of at most limit.
func (r *reader) number(limit uint64) uint64 {
	v := r.uvarint()
	if v > limit {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) uint32() uint32 { return uint32(r.number(math.MaxUint32)) }

// endOfTime is the end of the year 9999 in milliseconds since the Unix epoch. JSON cannot represent
// later times, nor those before 0.
const endOfTime = 253_402_300_800_000

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.rest)
	if n <= 0 || v < 0 || v >= endOfTime {
		r.fail()
		return time.Time{}
	}
	r.rest = r.rest[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

func (r *reader) bytes() []byte  { return r.take(r.uvarint()) }
func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) id() (id webhook.ID) {
	copy(id[:], r.take(uint64(idSize)))
	return id
}

func (r *reader) strings() []string {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.rest)) { // each takes at least one byte
		if n > 0 {
			r.fail()
		}
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

// jsonVersion is the version of records and commands in JSON. Fields may be added; none may change
// its meaning.
const jsonVersion = 1

// encodeJSON encodes the domain objects: there are few of them, engineers read them in an
// emergency, and they gain fields over time. Go writes the keys of structs in order of declaration
// and those of maps sorted, so all nodes write the same bytes.
func encodeJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wal: encoding %T: %w", v, err)
	}
	return append([]byte{jsonVersion}, text...), nil
}

func decodeJSON(data []byte, v any) error {
	r := newReader(data, jsonVersion)
	if r.err != nil {
		return r.err
	}
	if err := json.Unmarshal(r.rest, v); err != nil {
		return fmt.Errorf("wal: decoding %T: %w", v, err)
	}
	return nil
}
