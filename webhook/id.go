package webhook

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"
	"time"
)

// ID identifies everything that the log creates: applications, endpoints, messages, attempts. It
// has the layout of a KSUID-ms, 20 bytes written as 27 base62 characters, but no part of it is
// random:
//
//	0..3    seconds since 2014-05-13T16:53:20Z (Unix 1400000000), big-endian
//	4       milliseconds / 4
//	5..12   Raft index of the entry that created it, big-endian
//	13..15  place in that entry, big-endian
//	16..19  CRC-32C of bytes 0..15
//
// The clock of the log never goes back and the index only grows, so byte order is log order: every
// ID is both a key and a position in the log.
type ID [20]byte

// Kind is the prefix that an ID carries in the API: "msg" in msg_2dPq….
type Kind string

// The kinds of things that have an ID.
const (
	KindApplication Kind = "app"
	KindEndpoint    Kind = "ep"
	KindMessage     Kind = "msg"
	KindAttempt     Kind = "atmpt"
	KindTask        Kind = "qtask"
	KindAPIKey      Kind = "key"
	KindEvent       Kind = "ev" // of the tail: an attempt or a state change
)

// MaxPlace is how many IDs one Raft entry can create.
const MaxPlace = 1<<24 - 1

const (
	idEpoch   = 1_400_000_000 // seconds, as in KSUID
	idLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLength  = 27
)

// lastMillis is the last millisecond of IDs, in the year 2150.
const lastMillis = (idEpoch+math.MaxUint32)*1000 + 999

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	idDigit    = makeIDDigits()

	errIDForm = errors.New("not an id: expected a prefix, an underscore and 27 letters or digits")
	errIDSum  = errors.New("not an id: its check digits do not match, so it was mistyped or cut")
)

// NewID returns the ID of the place-th object (0..MaxPlace) that the entry at index creates. The
// time now is in milliseconds since the Unix epoch, and is clamped to the range that IDs can
// represent.
func NewID(now int64, index uint64, place uint32) ID {
	var id ID
	now = min(max(now, idEpoch*1000), lastMillis) // before the first command the log's clock is 0
	binary.BigEndian.PutUint32(id[0:], uint32(now/1000-idEpoch))
	id[4] = byte(now % 1000 / 4)
	binary.BigEndian.PutUint64(id[5:], index)
	id[13], id[14], id[15] = byte(place>>16), byte(place>>8), byte(place)
	binary.BigEndian.PutUint32(id[16:], checkDigits(&id))
	return id
}

// checkDigits returns the CRC-32C of what comes before it in an ID. crc32.Checksum would make each
// ID take memory of its own.
func checkDigits(id *ID) uint32 {
	sum := ^uint32(0)
	for _, b := range id[:16] {
		sum = castagnoli[byte(sum)^b] ^ sum>>8
	}
	return ^sum
}

// Time returns when the log created the ID, exact to 4 ms.
func (id ID) Time() time.Time { return time.UnixMilli(id.Millis()).UTC() }

// Millis returns Time in milliseconds since the Unix epoch.
func (id ID) Millis() int64 {
	return (int64(binary.BigEndian.Uint32(id[0:]))+idEpoch)*1000 + int64(id[4])*4
}

// Index returns the Raft index of the entry that created the ID.
func (id ID) Index() uint64 { return binary.BigEndian.Uint64(id[5:]) }

// Place returns the position of the ID in that entry.
func (id ID) Place() uint32 { return uint32(id[13])<<16 | uint32(id[14])<<8 | uint32(id[15]) }

// IsZero reports whether id is zero. The zero ID sorts before all others.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs as the log does: -1, 0 or 1.
func (id ID) Compare(other ID) int {
	for i := range id {
		if id[i] != other[i] {
			if id[i] < other[i] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// After reports whether id is later in the log than other.
func (id ID) After(other ID) bool { return id.Compare(other) > 0 }

// Text returns the ID as the API writes it, such as msg_2dPqK3WbX0iR9zVvGNw3T1oAJdc.
func (id ID) Text(kind Kind) string { return string(id.Append(make([]byte, 0, 48), kind)) }

// Append appends Text to dst.
func (id ID) Append(dst []byte, kind Kind) []byte {
	dst = append(dst, kind...)
	return id.appendDigits(append(dst, '_'))
}

func (id ID) appendDigits(dst []byte) []byte {
	// Long division of five 32-bit digits by 62^5 gives five characters a round.
	const chunk = 62 * 62 * 62 * 62 * 62
	var words [5]uint64
	for i := range words {
		words[i] = uint64(binary.BigEndian.Uint32(id[4*i:]))
	}
	var text [30]byte
	for end := len(text); end > 0; end -= 5 {
		rest := uint64(0)
		for i := range words {
			value := rest<<32 | words[i]
			words[i], rest = value/chunk, value%chunk
		}
		for i := end - 1; i >= end-5; i-- {
			text[i] = idLetters[rest%62]
			rest /= 62
		}
	}
	return append(dst, text[len(text)-idLength:]...)
}

// ParseID parses what Text returns. An error means that text cannot be the ID of anything of that
// kind.
func ParseID(kind Kind, text string) (ID, error) {
	digits, ok := strings.CutPrefix(text, string(kind)+"_")
	if !ok {
		return ID{}, errIDForm
	}
	id, err := parseDigits(digits)
	if err == nil && checkDigits(&id) != binary.BigEndian.Uint32(id[16:]) {
		return ID{}, errIDSum
	}
	return id, err
}

// MarshalText returns the 27 characters without a prefix, as they are in stored records.
func (id ID) MarshalText() ([]byte, error) { return id.appendDigits(nil), nil }

// UnmarshalText parses what MarshalText returns. It accepts the zero ID, so it does not verify the
// check digits.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = parseDigits(string(text))
	return err
}

func parseDigits(digits string) (ID, error) {
	if len(digits) != idLength {
		return ID{}, errIDForm
	}
	var words [5]uint64
	for i := 0; i < idLength; i++ {
		carry := uint64(idDigit[digits[i]])
		if carry == 0xff {
			return ID{}, errIDForm
		}
		for w := 4; w >= 0; w-- {
			value := words[w]*62 + carry
			words[w], carry = value&0xffffffff, value>>32
		}
		if carry != 0 { // more than 160 bits
			return ID{}, errIDForm
		}
	}
	var id ID
	for i, word := range words {
		binary.BigEndian.PutUint32(id[4*i:], uint32(word))
	}
	return id, nil
}

func makeIDDigits() (digits [256]byte) {
	for i := range digits {
		digits[i] = 0xff
	}
	for i := range len(idLetters) {
		digits[idLetters[i]] = byte(i)
	}
	return digits
}
