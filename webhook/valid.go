package webhook

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on what a producer may choose; those of the Svix API where it has one, the wider where its two documents differ.
const (
	maxWord       = 256  // characters of a uid, event type, event id or channel
	maxName       = 4096 // bytes of a name or a description
	maxMetadata   = 4096 // bytes of metadata as JSON
	maxChannels   = 10
	maxEventTypes = 1000
	maxTags       = 5
	maxTag        = 128 // characters
)

// validWord accepts 1 to 256 of a-z A-Z 0-9 - _ . : +
func validWord(field, word string) error {
	if len(word) == 0 || len(word) > maxWord {
		return Invalid(field, fmt.Sprintf("must have 1 to %d characters", maxWord))
	}
	for _, c := range []byte(word) {
		if !isWordByte(c, "-_.:+") {
			return Invalid(field, "may hold only letters, digits and - _ . : +")
		}
	}
	return nil
}

func validWords(field string, words []string, most int) error {
	if len(words) > most {
		return Invalid(field, fmt.Sprintf("may hold at most %d items", most))
	}
	for _, word := range words {
		if err := validWord(field, word); err != nil {
			return err
		}
	}
	return nil
}

// validTags accepts at most 5, each 1 to 128 of a-z A-Z 0-9 - _ . / \ #
func validTags(tags []string) error {
	if len(tags) > maxTags {
		return Invalid("tags", fmt.Sprintf("may hold at most %d items", maxTags))
	}
	for _, tag := range tags {
		if len(tag) == 0 || len(tag) > maxTag {
			return Invalid("tags", fmt.Sprintf("each must have 1 to %d characters", maxTag))
		}
		for _, c := range []byte(tag) {
			if !isWordByte(c, `-_./\#`) {
				return Invalid("tags", `may hold only letters, digits and - _ . / \ #`)
			}
		}
	}
	return nil
}

func isWordByte(c byte, others string) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(others, c) >= 0
}

// validUID refuses what could be taken for one of our own ids of that kind.
func validUID(kind Kind, uid string) error {
	if uid == "" {
		return nil
	}
	if hasPrefix(kind, uid) {
		return Invalid("uid", fmt.Sprintf("must not begin with %s_, which is how our own ids begin", kind))
	}
	return validWord("uid", uid)
}

func hasPrefix(kind Kind, text string) bool { return strings.HasPrefix(text, string(kind)+"_") }

func validName(field, name string) error {
	if name == "" {
		return Invalid(field, "must not be empty")
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
	for i := range len(text) {
		if text[i] <= 8 {
			return Invalid(field, "must not hold control characters")
		}
	}
	return nil
}

func validMetadata(metadata map[string]string) error {
	text, err := json.Marshal(metadata)
	if err != nil {
		return Invalid("metadata", err.Error())
	}
	if len(text) > maxMetadata {
		return Invalid("metadata", fmt.Sprintf("must not be longer than %d bytes as JSON", maxMetadata))
	}
	return nil
}
