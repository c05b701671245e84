package cli

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// choice is a flag that accepts certain words only.
type choice struct {
	text  string
	words map[string]any
}

func (c *choice) Set(text string) error {
	if _, known := c.words[text]; !known {
		return errors.New("must be " + enumerate(slices.Sorted(maps.Keys(c.words))))
	}
	c.text = text
	return nil
}

func (c *choice) String() string { return c.text }
func (c *choice) Type() string   { return "word" }

// enumerate returns "a, b or c".
func enumerate(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// sameWords is for a choice between words that the API knows.
func sameWords(words ...string) map[string]any {
	known := map[string]any{}
	for _, word := range words {
		known[word] = word
	}
	return known
}

// timeFlag is a flag for a point in time: RFC 3339, a date, or how long ago.
type timeFlag struct {
	text   string // in RFC 3339, or other text that is accepted
	future bool   // a duration is from now on, not ago
	other  func(text string) bool
}

const timeExamples = "1h, 3d, 2026-01-31 or 2026-01-31T12:00:00Z"

func (t *timeFlag) Set(text string) error {
	if t.other != nil && t.other(text) {
		t.text = text
		return nil
	}
	at, err := t.parse(text, time.Now())
	if err != nil {
		return err
	}
	t.text = at.UTC().Format(time.RFC3339Nano)
	return nil
}

func (t *timeFlag) parse(text string, now time.Time) (time.Time, error) {
	if duration, err := model.ParseDuration(text); err == nil && text != "" {
		if t.future {
			return now.Add(time.Duration(duration)), nil
		}
		return now.Add(-time.Duration(duration)), nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("must be a time such as " + timeExamples)
}

func (t *timeFlag) String() string { return t.text }
func (t *timeFlag) Type() string   { return "time" }

// isWord returns a function for timeFlag.other.
func isWord(words ...string) func(string) bool {
	return func(text string) bool { return slices.Contains(words, text) }
}
