package httpapi

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// fields are the places of the fields of the object that a text consists of, in the order of the
// text.
type fields struct {
	list  [maxFields]field
	count int // more than maxFields: those in the list are the first ones
}

// field is where a name, with its quotes, and its value are in the text.
type field struct{ name, value span }

type span struct{ start, end int32 }

func (s span) of(text string) string { return text[s.start:s.end] }

// maxFields is how many fields of an object are noted. Messages have fewer.
const maxFields = 8

// isComplete reports whether all fields are in the list.
func (f *fields) isComplete() bool { return f.count <= maxFields }

// last returns the field that was found last, or nil if it is not in the list.
func (f *fields) last() *field {
	if f.count == 0 || f.count > maxFields {
		return nil
	}
	return &f.list[f.count-1]
}

// move adapts the places to a text that begins elsewhere.
func (f *fields) move(by int) {
	for i := range f.list {
		for _, s := range []*span{&f.list[i].name, &f.list[i].value} {
			s.start += int32(by)
			s.end += int32(by)
		}
	}
}

// parseFields finds the fields of the object, if it is one, that a text consists of. It reports
// whether the text is one JSON value in UTF-8, nested at most maxDepth deep, and walks over it
// once.
func parseFields(text []byte) (found fields, isValid bool) {
	w := walk{text: text}
	isValid = w.document() && w.next() == 0 && w.at == len(text)
	return w.fields, isValid
}

// A word with the lowest, or the highest, bit of each byte.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// walk is the state of parseFields: where it is in the text, and what it is inside of.
type walk struct {
	text   []byte
	at     int
	depth  int
	arrays [maxDepth / 64]uint64 // by depth, whether it is an array or an object
	fields fields
}

// document walks over one value, with the space before it. It does not recurse: what closes a
// value is found on the stack of bits.
func (w *walk) document() bool {
	for {
		opened, valid := w.value()
		if !valid {
			return false
		}
		if opened {
			continue
		}
		for { // a value has ended
			if w.depth == 0 {
				return true
			}
			if w.depth == 1 {
				if f := w.fields.last(); f != nil {
					f.value.end = int32(w.at)
				}
			}
			switch c := w.next(); {
			case c == ',':
				w.at++
				if !w.inArray() && !w.name() {
					return false
				}
			case c == ']' && w.inArray(), c == '}' && !w.inArray():
				w.at++
				w.depth--
				continue
			default:
				return false
			}
			break
		}
	}
}

// value walks over a value, or only its beginning: opened means that the first value inside of it
// is next.
func (w *walk) value() (opened, valid bool) {
	switch c := w.next(); c {
	case '{':
		if !w.open(0) {
			return false, false
		}
		if w.next() == '}' {
			w.at++
			w.depth--
			return false, true
		}
		return true, w.name()
	case '[':
		if !w.open(1) {
			return false, false
		}
		if w.next() == ']' {
			w.at++
			w.depth--
			return false, true
		}
		return true, true
	case '"':
		return false, w.string()
	case 't':
		return false, w.word("true")
	case 'f':
		return false, w.word("false")
	case 'n':
		return false, w.word("null")
	default:
		return false, w.number()
	}
}

// open notes that an array or an object begins here.
func (w *walk) open(array uint64) bool {
	if w.depth == maxDepth {
		return false
	}
	word, bit := w.depth/64, w.depth%64
	w.arrays[word] = w.arrays[word]&^(1<<bit) | array<<bit
	w.depth++
	w.at++
	return true
}

func (w *walk) inArray() bool { return w.arrays[(w.depth-1)/64]>>((w.depth-1)%64)&1 == 1 }

// next skips space and returns the character there, or 0 at the end.
func (w *walk) next() byte {
	for ; w.at < len(w.text); w.at++ {
		switch c := w.text[w.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// name walks over a name, the colon behind it, and the space behind that.
func (w *walk) name() bool {
	if w.next() != '"' {
		return false
	}
	start := w.at
	if !w.string() {
		return false
	}
	end := w.at
	if w.next() != ':' {
		return false
	}
	w.at++
	if w.depth == 1 {
		w.next()
		w.fields.count++
		if f := w.fields.last(); f != nil {
			f.name, f.value.start = span{int32(start), int32(end)}, int32(w.at)
		}
	}
	return true
}

func (w *walk) word(word string) bool {
	end := w.at + len(word)
	if end > len(w.text) || string(w.text[w.at:end]) != word {
		return false
	}
	w.at = end
	return true
}

// string walks over a string, which begins here.
func (w *walk) string() bool {
	w.at++
	for {
		w.at = plain(w.text, w.at)
		if w.at >= len(w.text) {
			return false
		}
		size := 0
		switch c := w.text[w.at]; {
		case c == '"':
			w.at++
			return true
		case c == '\\':
			size = escape(w.text[w.at:])
		case c >= utf8.RuneSelf:
			size = wide(w.text[w.at:])
		} // or it is a control character
		if size == 0 {
			return false
		}
		w.at += size
	}
}

// plain returns where the ASCII characters end that stand for themselves in a string. It looks at
// eight bytes at a time: m has the top bit of each byte that is beyond ASCII, a quote, a backslash
// or a control character; a borrow may set it in a byte above such a one, but never below.
func plain(text []byte, i int) int {
	for ; i+8 <= len(text); i += 8 {
		word := binary.LittleEndian.Uint64(text[i:])
		quote, slash := word^('"'*ones), word^('\\'*ones)
		m := (quote-ones)&^quote | (slash-ones)&^slash | (word - ' '*ones) | word
		if m &= tops; m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	for i < len(text) && text[i] >= ' ' && text[i] < utf8.RuneSelf && text[i] != '"' && text[i] != '\\' {
		i++
	}
	return i
}

// wide returns the length of the characters beyond ASCII that a text begins with, or 0 if one of
// them is not valid.
func wide(text []byte) int {
	for i := 0; ; {
		if i >= len(text) || text[i] < utf8.RuneSelf {
			return i
		}
		if i+1 < len(text) && text[i] >= 0xc2 && text[i] <= 0xdf && text[i+1]>>6 == 2 { // two bytes
			i += 2
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return 0
		}
		i += size
	}
}

// escape returns the length of the escape that a text begins with, or 0 if it is not valid.
func escape(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, c := range text[2:6] {
			if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

// number walks over a number.
func (w *walk) number() bool {
	if w.at < len(w.text) && w.text[w.at] == '-' {
		w.at++
	}
	if w.at < len(w.text) && w.text[w.at] == '0' {
		w.at++
	} else if !w.digits() {
		return false
	}
	if w.at < len(w.text) && w.text[w.at] == '.' {
		w.at++
		if !w.digits() {
			return false
		}
	}
	if w.at < len(w.text) && w.text[w.at]|0x20 == 'e' {
		w.at++
		if w.at < len(w.text) && (w.text[w.at] == '+' || w.text[w.at] == '-') {
			w.at++
		}
		return w.digits()
	}
	return true
}

// digits walks over at least one digit.
func (w *walk) digits() bool {
	begin := w.at
	for w.at < len(w.text) && w.text[w.at] >= '0' && w.text[w.at] <= '9' {
		w.at++
	}
	return w.at > begin
}
