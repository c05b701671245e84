package httpapi

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// isJSON reports whether a text is one JSON value in UTF-8, nested at most maxDepth deep. It walks
// over the text once, and again if it is not ASCII.
func isJSON(text []byte) bool {
	w := walk{text: text}
	return w.document() && (w.seen&tops == 0 || utf8.Valid(text))
}

// A word with the lowest, or the highest, bit of each byte.
const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// walk is the state of isJSON: where it is in the text, and what it is inside of.
type walk struct {
	text   []byte
	at     int
	depth  int
	seen   uint64                // bits of what strings contain: without those of tops, all is ASCII
	arrays [maxDepth / 64]uint64 // by depth, whether it is an array or an object
}

// document walks over one value and what surrounds it. It does not recurse: what closes a value is
// found on the stack of bits.
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
			c := w.next()
			switch {
			case w.depth == 0:
				return c == 0 && w.at == len(w.text)
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

// name walks over a name and the colon behind it.
func (w *walk) name() bool {
	if w.next() != '"' || !w.string() || w.next() != ':' {
		return false
	}
	w.at++
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

// string walks over a string, which begins here. Whether it is UTF-8 is left to isJSON.
func (w *walk) string() bool {
	w.at++
	for {
		w.plain()
		if w.at >= len(w.text) {
			return false
		}
		switch w.text[w.at] {
		case '"':
			w.at++
			return true
		case '\\':
			size := escape(w.text[w.at:])
			if size == 0 {
				return false
			}
			w.at += size
		default: // a control character
			return false
		}
	}
}

// plain walks over characters that stand for themselves in a string. It looks at eight bytes at a
// time: m has the top bit of each byte that is a quote, a backslash or a control character; a
// borrow may set it in a byte above such a one, but never below.
func (w *walk) plain() {
	text, i, seen := w.text, w.at, w.seen
	for ; i+8 <= len(text); i += 8 {
		word := binary.LittleEndian.Uint64(text[i:])
		quote, slash := word^('"'*ones), word^('\\'*ones)
		m := (quote-ones)&^quote | (slash-ones)&^slash | (word-' '*ones)&^word
		seen |= word
		if m &= tops; m != 0 {
			w.at, w.seen = i+bits.TrailingZeros64(m)/8, seen
			return
		}
	}
	for i < len(text) && text[i] >= ' ' && text[i] != '"' && text[i] != '\\' {
		seen |= uint64(text[i])
		i++
	}
	w.at, w.seen = i, seen
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
