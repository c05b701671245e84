package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits on one schema. Compiling turns numbers into fractions, whose length grows with the
// exponent, and patterns into programs, whose length grows with the product of their repetitions.
const (
	maxSchemaDepth    = 64
	maxSchemaValues   = 10_000
	maxSchemaDigits   = 100
	maxSchemaExponent = 310
	maxSchemaPattern  = 1024   // bytes
	maxSchemaProgram  = 20_000 // instructions of all patterns together, about
)

// schemaCost adds up what a schema would cost.
type schemaCost struct{ values, program int }

// add counts a value and all within it.
func (c *schemaCost) add(value any, depth int) error {
	if c.values++; c.values > maxSchemaValues {
		return fmt.Errorf("holds more than %d values", maxSchemaValues)
	}
	if depth > maxSchemaDepth {
		return fmt.Errorf("is nested more than %d deep", maxSchemaDepth)
	}
	switch value := value.(type) {
	case json.Number:
		return checkSchemaNumber(value.String())
	case []any:
		for _, item := range value {
			if err := c.add(item, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range value {
			if err := c.addPatterns(name, item); err != nil {
				return err
			}
			if err := c.add(item, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// addPatterns counts the regular expressions of a keyword.
func (c *schemaCost) addPatterns(keyword string, value any) error {
	switch value := value.(type) {
	case string:
		if keyword == "pattern" {
			return c.addPattern(value)
		}
	case map[string]any:
		if keyword != "patternProperties" {
			return nil
		}
		for pattern := range value {
			if err := c.addPattern(pattern); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *schemaCost) addPattern(pattern string) error {
	if len(pattern) > maxSchemaPattern {
		return fmt.Errorf("holds a pattern of more than %d bytes", maxSchemaPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil // the compiler says what is wrong with it
	}
	if c.program += programSize(parsed); c.program > maxSchemaProgram {
		return errors.New("holds patterns that repeat too much: make the numbers in their braces smaller")
	}
	return nil
}

// programSize is about how many instructions an expression compiles to, at most a little more than
// maxSchemaProgram.
func programSize(e *syntax.Regexp) int {
	size := 1 + len(e.Rune)
	for _, sub := range e.Sub {
		size = min(size+programSize(sub), maxSchemaProgram+1)
	}
	if e.Op == syntax.OpRepeat {
		size *= max(e.Min, e.Max, 1)
	}
	return min(size, maxSchemaProgram+1)
}

func checkSchemaNumber(text string) error {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	n, err := strconv.Atoi(exponent)
	if exponent != "" && (err != nil || n > maxSchemaExponent || n < -maxSchemaExponent) || len(mantissa) > maxSchemaDigits {
		return fmt.Errorf("holds a number of more than %d digits or with an exponent beyond %d", maxSchemaDigits, maxSchemaExponent)
	}
	return nil
}

// schemaURL is the base URL of the schema being checked, for references within it.
const schemaURL = "schema:event-type"

// noSchemas loads nothing: a schema may refer to itself and to the drafts of JSON Schema only.
type noSchemas struct{}

func (noSchemas) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s, which is outside of it", url)
}

// compiling lets one schema be compiled at a time, so that many requests do not add up.
var compiling sync.Mutex

// checkSchema checks that text is JSON Schema, of draft 7 if it does not name another, and none
// that would take long to compile.
func checkSchema(text string) error {
	if hasLoneSurrogate(text) {
		return errors.New(notUnicode)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("is not valid JSON: %w", err)
	}
	if err := new(schemaCost).add(document, 0); err != nil {
		return err
	}
	compiling.Lock()
	defer compiling.Unlock()
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noSchemas{})
	if err := c.AddResource(schemaURL, document); err != nil {
		return fmt.Errorf("is not a JSON Schema: %w", err)
	}
	_, err = c.Compile(schemaURL)
	var outside *jsonschema.LoadURLError
	var invalid *jsonschema.SchemaValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &outside):
		return fmt.Errorf("must not refer to other documents: %w", outside.Err)
	case errors.As(err, &invalid):
		return fmt.Errorf("is not a JSON Schema: %w", invalid.Err)
	default:
		return fmt.Errorf("is not a JSON Schema: %w", err)
	}
}
