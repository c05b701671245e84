package httpapi

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

// maxDepth is how deep JSON may be nested.
const maxDepth = 512

// body reads the JSON object of a request, field by field, and gathers what is wrong with it. gjson gives the text of a value
// as it stands there, which encoding/json does not without reading it twice.
type body struct {
	object gjson.Result
	errs   manyInvalid
}

// parseBody refuses what is not a JSON object in UTF-8.
func parseBody(text []byte) (*body, error) {
	switch {
	case len(text) == 0:
		return nil, webhook.Invalid("", "the body is empty, a JSON object was expected")
	case !utf8.Valid(text):
		return nil, webhook.Invalid("", "the body is not UTF-8")
	case tooDeep(text):
		return nil, webhook.Invalid("", fmt.Sprintf("the JSON is nested more than %d deep", maxDepth))
	case !gjson.ValidBytes(text):
		return nil, webhook.Invalid("", "the body is not valid JSON")
	}
	object := gjson.ParseBytes(text)
	if !object.IsObject() {
		return nil, webhook.Invalid("", "the body is not a JSON object")
	}
	return &body{object: object}, nil
}

// parseOptionalBody takes an empty body for an empty object.
func parseOptionalBody(text []byte) (*body, error) {
	if len(text) == 0 {
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

// each calls see for each field; of a field that stands there twice the last one counts, as in most JSON readers.
func (b *body) each(see func(name string, value gjson.Result)) {
	b.object.ForEach(func(name, value gjson.Result) bool {
		see(name.String(), value)
		return true
	})
}

func (b *body) fail(field, detail string) { b.errs = append(b.errs, webhook.Invalid(field, detail)) }

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
	return v.String()
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
func (b *body) between(field string, v gjson.Result, least, most int64) int64 {
	if isNull(v) {
		return 0
	}
	n := v.Num
	if v.Type != gjson.Number || n < float64(least) || n > float64(most) || n != math.Trunc(n) {
		b.fail(field, fmt.Sprintf("must be a whole number from %d to %d", least, most))
		return 0
	}
	return int64(n)
}

// optionalTime reads an RFC 3339 time, exact to the millisecond; null is zero.
func (b *body) optionalTime(field string, v gjson.Result) time.Time {
	if isNull(v) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.String())
	if v.Type != gjson.String || err != nil || t.Unix() < 1_400_000_000 {
		b.fail(field, "must be a time such as 2026-01-31T12:00:00Z, after 2014")
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// strings reads a list of strings without repetitions; null is none, and so is an empty list.
func (b *body) strings(field string, v gjson.Result) (list []string) {
	if isNull(v) {
		return nil
	}
	if !v.IsArray() {
		b.fail(field, "must be a list of strings")
		return nil
	}
	seen := make(map[string]bool)
	for i, item := range v.Array() {
		text := b.string(fmt.Sprintf("%s/[%d]", field, i), item)
		if !seen[text] {
			seen[text] = true
			list = append(list, strings.Clone(text))
		}
	}
	return list
}

// stringMap reads an object of strings; null is none.
func (b *body) stringMap(field string, v gjson.Result) map[string]string {
	if isNull(v) {
		return nil
	}
	if !v.IsObject() {
		b.fail(field, "must be an object of strings")
		return nil
	}
	m := make(map[string]string)
	v.ForEach(func(name, value gjson.Result) bool {
		m[name.String()] = b.string(field+"/"+name.String(), value)
		return true
	})
	return m
}
