package httpapi

import (
	"fmt"
	"strings"
	"testing"
)

func TestSchemaCost(t *testing.T) {
	for name, test := range map[string]struct{ text, detail string }{
		"usual":            {`{"type":"object","properties":{"a":{"type":"number","maximum":1e6,"minimum":-1.5E-3},"b":{"pattern":"^[a-z]{1,64}$"}}}`, ""},
		"recursive":        {`{"properties":{"child":{"$ref":"#"}}}`, ""},
		"itself":           {`{"$ref":"#"}`, ""},
		"two that refer":   {`{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}`, ""},
		"largest double":   {`{"maximum":1.7976931348623157e308}`, ""},
		"huge exponent":    {`{"maximum":1e999999}`, "exponent"},
		"tiny exponent":    {`{"multipleOf":1e-999999}`, "exponent"},
		"endless exponent": {`{"maximum":1e99999999999999999999}`, "exponent"},
		"in a constant":    {`{"const":{"a":[1E+1000]}}`, "exponent"},
		"many digits":      {`{"maximum":` + strings.Repeat("9", 101) + `}`, "digits"},
		"much repeated":    {`{"pattern":"` + strings.Repeat("(x{1,1000})", 21) + `"}`, "repeat too much"},
		"repeated often":   {`{"properties":{` + list(100, `"p%d":{"pattern":"(x{1,1000})"}`) + `}}`, "repeat too much"},
		"long pattern":     {`{"pattern":"` + strings.Repeat("a", 1025) + `"}`, "more than 1024 bytes"},
		"in a name":        {`{"patternProperties":{"` + strings.Repeat("(x{1,1000})", 21) + `":{}}}`, "repeat too much"},
		"bad pattern":      {`{"pattern":"("}`, "not a JSON Schema"},
		"deep":             {strings.Repeat(`{"not":`, 65) + `{}` + strings.Repeat("}", 65), "nested"},
		"many values":      {`{"enum":[` + list(10_001, "%d") + `]}`, "more than 10000 values"},
		"outside":          {`{"$ref":"http://127.0.0.1:1/"}`, "must not refer to other documents"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkSchema(test.text)
			if (err == nil) != (test.detail == "") || err != nil && !strings.Contains(err.Error(), test.detail) {
				t.Errorf("%v, want %q", err, test.detail)
			}
		})
	}
}

// list is a format for each number from 0 on, with commas between.
func list(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(items, ",")
}

// The dearest schemas that pass the checks.
func BenchmarkDearSchemas(b *testing.B) {
	for name, text := range map[string]string{
		"numbers":  `{"allOf":[` + list(4000, `{"maximum":%[1]de300}`) + `]}`,
		"patterns": `{"allOf":[` + list(4, `{"pattern":"(x{1,1000})%d"}`) + `]}`,
		"enum":     `{"enum":[` + list(9_000, "%d") + `]}`,
		"required": `{"required":[` + list(9_000, `"%d"`) + `]}`,
		"refs":     `{"definitions":{` + list(4000, `"d%[1]d":{"$ref":"#/definitions/d%[1]d"}`) + `}}`,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := checkSchema(text); err != nil {
					b.Log(err)
				}
			}
		})
	}
}
