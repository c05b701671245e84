package httpapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// importDocument imports a document as text and returns how many bytes that allocated.
func importDocument(t *testing.T, document string) (allocated uint64, err error) {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"specRaw":` + string(text) + `}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, list, err := parseImport(body)
	runtime.ReadMemStats(&after)
	total := 0
	for _, eventType := range list {
		if err == nil && eventType.Validate() != nil {
			t.Errorf("%q was imported, and is invalid: %v", eventType.Name, eventType.Validate())
		}
		for _, schema := range eventType.Schemas {
			total += len(schema)
		}
	}
	if total > maxImportedSchemas {
		t.Errorf("schemas of %d bytes", total)
	}
	if _, again, errAgain := parseImport(body); (err == nil) != (errAgain == nil) || err == nil && !reflect.DeepEqual(list, again) {
		t.Errorf("once %v %v, then %v %v", list, err, again, errAgain)
	}
	return after.TotalAlloc - before.TotalAlloc, err
}

// document is one of OpenAPI with a webhook whose payload has a schema, and what goes before it.
func document(before, schema string) string {
	return before + "openapi: 3.1.0\nwebhooks:\n  a: {post: {requestBody: {content: {application/json: {schema: " + schema + "}}}}}\n"
}

func repeated(item string, times int) string {
	return strings.TrimSuffix(strings.Repeat(item, times), ",")
}

// What a document makes of itself by aliases, references and nesting has bounds: each of these
// would take gigabytes, or minutes.
func TestImportBounds(t *testing.T) {
	long := strings.Repeat("k", 100<<10)
	var keys, webhooks strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&keys, "%d: v\n", i)
	}
	for i := range maxImported {
		fmt.Fprintf(&webhooks, "  a%d: {post: {requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}}}\n", i)
	}
	for name, test := range map[string]struct{ document, want string }{
		"references": {document("x: &x '#/components/schemas/A/"+long+"'\ncomponents: {schemas: {A: {}}}\n", "{allOf: ["+repeated("{$ref: *x},", 9000)+"]}"), "256 KiB"},
		"names":      {document("x: &x "+long+"\n", "{allOf: ["+repeated("{properties: {*x : {}}},", 3000)+"]}"), "256 KiB"},
		"keywords":   {document("x: &x "+long+"\n", "{allOf: ["+repeated("{*x : 1},", 4000)+"]}"), "256 KiB"},
		"examples":   {document("x: &x "+long+"\n", "{examples: ["+repeated("{*x : 1},", 4000)+"]}"), "256 KiB"},
		"numbers":    {document("x: &x "+strings.Repeat("7", 100<<10)+"\n", "{enum: ["+repeated("*x,", 9000)+"]}"), "256 KiB"},
		"webhooks":   {"openapi: 3.1.0\ncomponents: {schemas: {A: {allOf: [" + repeated("{a: 1},", 9000) + "]}}}\nwebhooks:\n" + webhooks.String(), "values"},
		"aliases":    {document("a: &a ["+repeated("x,", 1000)+"]\nb: &b ["+repeated("*a,", 1000)+"]\n", "{enum: *b}"), "values"},
		"itself":     {document("a: &a [*a]\n", "{}"), "nested"},
		"merged":     {document("a: &a {<<: *a}\n", "{}"), "nested"},
		"deep":       {document("a: "+strings.Repeat("[", 101)+strings.Repeat("]", 101)+"\n", "{}"), "nested"},
		"keys":       {document(keys.String()+"1: again\n", "{}"), `"1" twice`},
		"numbered":   {document("1: a\n'1': b\n", "{}"), `"1" twice`},
		"large":      {strings.Repeat("#\n", 1<<20) + "#", "2 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			allocated, err := importDocument(t, test.document)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%.200v, not %q", err, test.want)
			}
			if allocated > 1<<30 {
				t.Errorf("%d MiB were allocated", allocated>>20)
			}
		})
	}
}

// Aliases, merged objects, numbers and dates are read as elsewhere, and numbers keep their digits.
func TestImportYAML(t *testing.T) {
	value, err := parseDocument("base: &base {a: 1, b: 12345678901234567890123}\nown: {<<: [*base, {c: 0x10}], a: 2020-02-03}\n200: [~, yes, 'no', .5, 2020-02-03T04:05:06Z]\nnone:\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	const want = `{"200":[null,"yes","no",0.5,"2020-02-03T04:05:06Z"],"base":{"a":1,"b":12345678901234567890123},"none":null,"own":{"a":"2020-02-03","b":12345678901234567890123,"c":16}}`
	if err != nil || string(text) != want {
		t.Errorf("%s %v", text, err)
	}
}

func FuzzImportOpenAPI(f *testing.F) {
	const schemas = "components: {schemas: {A: {properties: {b: {$ref: '#/components/schemas/B'}}}, B: {allOf: [{$ref: '#/components/schemas/A'}], nullable: true, type: string}}}\n"
	for _, seed := range []string{
		document(schemas, "{$ref: '#/components/schemas/A'}"), document(schemas, "{$ref: '#/components/schemas/A/properties/b', $defs: {B: {}}}"),
		document("a: &a {type: object}\n", "{<<: *a, properties: {<<: {x: *a}}}"), document("a: &a [*a]\n", "*a"), document("", "{example: 2020-02-03, enum: [.nan, .inf, ~, 0x1, !!binary aGk=]}"),
		"openapi: 3.0.0\nx-webhooks: {'a/b': {$ref: '#/x'}}\nx: {$ref: '#/x'}\n", "openapi: 3.1\n", "{\"openapi\":\"3.1.0\",\"webhooks\":{\"a\":{\"post\":{}},\"a\":{\"post\":{}}}}",
		"? [a]\n: b\n", "? ? a\n", "- &a\n- *a\n", "a: |\n b\n", "\xff\xfe", "--- !!set {a}\n", "%YAML 1.1\n---\na: !x {b: c}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			return
		}
		if allocated, _ := importDocument(t, text); allocated > 1<<30 {
			t.Errorf("%d bytes made %d MiB", len(text), allocated>>20)
		}
	})
}
