package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on the fields that a producer sets: those of the Svix API if it has one, and the wider
// one where its two documents differ.
const (
	maxWord            = 256  // characters of a uid, event type, event id or channel
	maxName            = 4096 // bytes of a name or a description
	maxMetadata        = 4096 // bytes of metadata as JSON
	maxChannels        = 10
	maxEventTypes      = 1000
	maxEventTypesBytes = 32 << 10
	maxFlags           = 100 // feature flags
	maxFlagsBytes      = 8 << 10
	maxTags            = 5
	maxTag             = 128 // characters
)

// validWord accepts 1 to 256 of a-z A-Z 0-9 - _ . : + except "." and "..". Every name in the API's
// paths must pass it. Dot segments are refused because clients and proxies remove them before a
// request arrives (RFC 3986, section 5.2.4).
func validWord(field, word string) error {
	switch {
	case len(word) == 0 || len(word) > maxWord:
		return Invalid(field, fmt.Sprintf("must have 1 to %d characters", maxWord))
	case word == "." || word == "..":
		return Invalid(field, `must not be "." or "..", which cannot be part of a path`)
	}
	for _, c := range []byte(word) {
		if !isWordByte(c, "-_.:+") {
			return Invalid(field, "may hold only letters, digits and - _ . : +")
		}
	}
	return nil
}

// validWords limits the number of words and their total size in bytes.
func validWords(field string, words []string, maxItems, maxBytes int) error {
	if len(words) > maxItems {
		return Invalid(field, fmt.Sprintf("may hold at most %d items", maxItems))
	}
	size := 0
	for _, word := range words {
		if err := validWord(field, word); err != nil {
			return err
		}
		size += len(word)
	}
	if size > maxBytes {
		return Invalid(field, fmt.Sprintf("may hold at most %d bytes in all items together", maxBytes))
	}
	return nil
}

// validTags accepts at most 5, each 1 to 128 of a-z A-Z 0-9 - _ . / \ #
func validTags(tags []string) error {
	if len(tags) > maxTags {
		return Invalid("tags", fmt.Sprintf("may hold at most %d items", maxTags))
	}
	for _, tag := range tags {
		if err := validTag("tags", tag); err != nil {
			return err
		}
	}
	return nil
}

func validTag(field, tag string) error {
	if len(tag) == 0 || len(tag) > maxTag {
		return Invalid(field, fmt.Sprintf("must have 1 to %d characters", maxTag))
	}
	for _, c := range []byte(tag) {
		if !isWordByte(c, `-_./\#`) {
			return Invalid(field, `may hold only letters, digits and - _ . / \ #`)
		}
	}
	return nil
}

func isWordByte(c byte, others string) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(others, c) >= 0
}

// validUID refuses a uid that could be mistaken for one of our own ids of that kind. An id of
// another service in the same format is accepted: it fails the check digits of ours, and code that
// used it goes on working.
func validUID(kind Kind, uid string) error {
	if uid == "" {
		return nil
	}
	if _, err := ParseID(kind, uid); hasPrefix(kind, uid) && !errors.Is(err, errIDSum) {
		return Invalid("uid", fmt.Sprintf("must not begin with %s_, which is how our own ids begin", kind))
	}
	return validWord("uid", uid)
}

func hasPrefix(kind Kind, text string) bool { return strings.HasPrefix(text, string(kind)+"_") }

func validName(field, name string) error {
	if name == "" {
		return Invalid(field, "is missing or empty")
	}
	return validText(field, name)
}

func validText(field, text string) error {
	if len(text) > maxName {
		return Invalid(field, fmt.Sprintf("must not be longer than %d bytes", maxName))
	}
	if !utf8.ValidString(text) {
		return Invalid(field, "must be UTF-8")
	}
	if strings.ContainsFunc(text, isControl) {
		return Invalid(field, "must not hold control characters other than tab and line break")
	}
	return nil
}

// isControl reports whether a character is a control character (C0, DEL or C1) that text must not
// contain: all except tab, line feed and carriage return.
func isControl(r rune) bool {
	return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r'
}

func validMetadata(metadata map[string]string) error {
	for key, value := range metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return Invalid("metadata", "must be UTF-8")
		}
		if strings.ContainsFunc(key, isControl) || strings.ContainsFunc(value, isControl) {
			return Invalid("metadata", "must not hold control characters other than tab and line break")
		}
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return Invalid("metadata", err.Error())
	}
	if len(text) > maxMetadata {
		return Invalid("metadata", fmt.Sprintf("must not be longer than %d bytes as JSON", maxMetadata))
	}
	return nil
}
