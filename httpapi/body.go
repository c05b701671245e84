package httpapi

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 512

// body reads the JSON object of a request, field by field, and gathers what is wrong with it. gjson
// gives the unchanged text of a value, which encoding/json does not without reading it
// twice.
type body struct {
	text   string
	fields fields
	errs   manyInvalid
}

var errEmptyBody = webhook.Invalid("", "the body is empty, a JSON object was expected")

// parseBody refuses what is not a JSON object in UTF-8.
func parseBody(text []byte) (*body, error) {
	if len(text) == 0 {
		return nil, errEmptyBody
	}
	found, err := checkJSON("the body", text)
	if err != nil {
		return nil, err
	}
	return objectIn("the body", string(text), found)
}

// objectIn returns the object that valid JSON consists of, which has these fields.
func objectIn(what, text string, found fields) (*body, error) {
	if strings.TrimLeft(text, space)[0] != '{' {
		return nil, webhook.Invalid("", what+" is not a JSON object")
	}
	return &body{text: text, fields: found}, nil
}

// checkJSON refuses what is not JSON in UTF-8, and finds the fields if it is an object.
func checkJSON(what string, text []byte) (fields, error) {
	found, isValid := parseFields(text)
	switch {
	case isValid:
		return found, nil
	case !utf8.Valid(text):
		return found, webhook.Invalid("", what+" is not UTF-8")
	case tooDeep(text):
		return found, webhook.Invalid("", fmt.Sprintf("the JSON is nested more than %d deep", maxDepth))
	default:
		return found, webhook.Invalid("", what+" is not valid JSON")
	}
}

// parseOptionalBody takes an empty body, or null, for an empty object.
func parseOptionalBody(text []byte) (*body, error) {
	if trimmed := bytes.TrimSpace(text); len(trimmed) == 0 || string(trimmed) == "null" {
		text = []byte("{}")
	}
	return parseBody(text)
}

// tooDeep counts brackets outside strings; it need not know whether the JSON is valid.
func tooDeep(text []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// each calls see for each field; of a field that occurs twice the last one counts, as in most
// JSON readers.
func (b *body) each(see func(name string, value gjson.Result)) {
	if !b.fields.isComplete() {
		b.eachIn("", gjson.Parse(b.text), see)
		return
	}
	for i := range b.fields.count {
		f := &b.fields.list[i]
		name := f.name.of(b.text)
		if strings.IndexByte(name, '\\') < 0 {
			name = name[1 : len(name)-1]
		} else {
			parsed := gjson.Parse(name)
			name = b.decode(parsed.String(), parsed)
		}
		value := gjson.Parse(f.value.of(b.text))
		value.Index = int(f.value.start)
		see(name, value)
		if len(b.errs) >= maxFaults {
			return
		}
	}
}

// eachIn calls see for each field of an object, whose place in the body is path.
func (b *body) eachIn(path string, object gjson.Result, see func(name string, value gjson.Result)) {
	object.ForEach(func(name, value gjson.Result) bool {
		see(b.decode(strings.TrimPrefix(path+"/"+name.String(), "/"), name), value)
		return len(b.errs) < maxFaults
	})
}

// items is eachIn for an object whose names the caller chooses: none may occur twice, however it
// is escaped, because one of the two would be lost.
func (b *body) items(path string, object gjson.Result, see func(name string, value gjson.Result)) {
	seen := make(map[string]bool)
	b.eachIn(path, object, func(name string, value gjson.Result) {
		switch {
		case seen[name]:
			b.fail(path+"/"+name, "is given twice")
		case len(seen) == maxItems:
			b.fail(path, fmt.Sprintf("may hold at most %d items", maxItems))
			return
		}
		seen[name] = true
		see(name, value)
	})
}

const notUnicode = `must be Unicode: a \ud800 to \udfff that is not part of a pair has no UTF-8 form`

// decode returns the text of a string or a name and refuses what has no UTF-8 form: one half of a
// surrogate pair, which gjson would silently replace with U+FFFD.
func (b *body) decode(field string, v gjson.Result) string {
	if hasLoneSurrogate(v.Raw) {
		b.fail(field, notUnicode)
	}
	return v.String()
}

// hasLoneSurrogate reports whether a string in valid JSON, as written, escapes half of a surrogate
// pair without the other half.
func hasLoneSurrogate(raw string) bool {
	for i := strings.IndexByte(raw, '\\'); i >= 0 && i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		switch unit := escapedUnit(raw[i:]); {
		case utf16.IsSurrogate(unit):
			if utf16.DecodeRune(unit, escapedUnit(raw[i+6:])) == utf8.RuneError {
				return true
			}
			i += 11
		default:
			i++ // the character escaped, which may be a backslash
		}
	}
	return false
}

// escapedUnit is the UTF-16 code unit of the escape, such as \u00e9, that text begins with; 0:
// it begins with something else.
func escapedUnit(text string) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(text[2:6], 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// maxItems is more than any list or object of strings may hold: it is not read any further, as its
// items take many times the memory that its text does.
const maxItems = 1000

const (
	maxFaults     = 50  // of a body that are told
	maxFaultField = 512 // bytes of the name of a field that are repeated
)

// fail notes a fault. A body of one MiB can have a great many of them, and a response of many MiB
// would say no more.
func (b *body) fail(field, detail string) {
	if len(b.errs) < maxFaults {
		b.errs = append(b.errs, webhook.Invalid(strings.ToValidUTF8(field[:min(len(field), maxFaultField)], ""), detail))
	}
}

// err is all that was wrong so far.
func (b *body) err() error {
	if len(b.errs) == 0 {
		return nil
	}
	return b.errs
}

func isNull(v gjson.Result) bool { return v.Type == gjson.Null }

func (b *body) string(field string, v gjson.Result) string {
	if v.Type != gjson.String {
		b.fail(field, "must be a string")
		return ""
	}
	return b.decode(field, v)
}

// optionalString takes null as empty.
func (b *body) optionalString(field string, v gjson.Result) string {
	if isNull(v) {
		return ""
	}
	return b.string(field, v)
}

func (b *body) bool(field string, v gjson.Result) bool {
	if !v.IsBool() {
		b.fail(field, "must be true or false")
	}
	return v.Bool()
}

// positive reads 1 to 65535; null is 0.
func (b *body) positive(field string, v gjson.Result) uint16 {
	return uint16(b.between(field, v, 1, math.MaxUint16))
}

// between reads a whole number; null is 0.
func (b *body) between(field string, v gjson.Result, minimum, maximum int64) int64 {
	if isNull(v) {
		return 0
	}
	n := v.Num
	if v.Type != gjson.Number || n < float64(minimum) || n > float64(maximum) || n != math.Trunc(n) {
		b.fail(field, fmt.Sprintf("must be a whole number from %d to %d", minimum, maximum))
		return 0
	}
	return int64(n)
}

// optionalTime reads an RFC 3339 time, exact to the millisecond; null is zero.
func (b *body) optionalTime(field string, v gjson.Result) time.Time {
	if isNull(v) {
		return time.Time{}
	}
	t, valid := parseInstant(v.String())
	if v.Type != gjson.String || !valid {
		b.fail(field, badInstant)
		return time.Time{}
	}
	return t.Truncate(time.Millisecond)
}

// earliest is the time from which on there are ids, in seconds since the Unix epoch.
const earliest = 1_400_000_000

const badInstant = "must be a time such as 2026-01-31T12:00:00Z, after 2014 and before the year 10000, in UTC"

// parseInstant reads an RFC 3339 time. By an offset it may be in a year that has no such text in
// UTC.
func parseInstant(text string) (t time.Time, valid bool) {
	t, err := time.Parse(time.RFC3339, text)
	t = t.UTC()
	return t, err == nil && t.Unix() >= earliest && t.Year() <= 9999
}

// strings reads a list of strings without repetitions. It returns nil for null and for an empty
// list.
func (b *body) strings(field string, v gjson.Result) (list []string) {
	if isNull(v) {
		return nil
	}
	if !v.IsArray() {
		b.fail(field, "must be a list of strings")
		return nil
	}
	seen, i := make(map[string]bool), 0
	v.ForEach(func(_, item gjson.Result) bool {
		text := b.string(fmt.Sprintf("%s/[%d]", field, i), item)
		i++
		if !seen[text] {
			seen[text] = true
			list = append(list, strings.Clone(text))
		}
		return len(list) <= maxItems && len(b.errs) < maxFaults // more are not valid, whatever they are
	})
	return list
}

// stringMap reads an object of strings. It returns nil for null.
func (b *body) stringMap(field string, v gjson.Result) map[string]string {
	if isNull(v) {
		return nil
	}
	if !v.IsObject() {
		b.fail(field, "must be an object of strings")
		return nil
	}
	m := make(map[string]string)
	b.items(field, v, func(name string, value gjson.Result) { m[name] = b.string(field+"/"+name, value) })
	return m
}
