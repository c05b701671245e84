package httpapi_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hookwheel/config"
)

type importView struct {
	Data struct {
		Modified, Archived []string
		ToModify           []struct {
			Name, Description string
			GroupName         *string
			Schemas           map[string]json.RawMessage
			New               bool
		} `json:"to_modify"`
	}
}

const petsOpenAPI = `openapi: 3.0.3
info: {title: Pets, version: "1"}
x-webhooks:
  pet.adopted:
    post:
      summary: A pet was adopted.
      tags: [Happy events]
      requestBody: {$ref: '#/components/requestBodies/Pet'}
      responses: {200: {description: OK}}
  "pet born!":
    post: {operationId: pet.born, description: A pet was born., deprecated: true}
components:
  requestBodies:
    Pet: {content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}, example: {name: Rex, born: 2020-02-03}}}}
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string, nullable: true}
        age: {type: integer, minimum: 0, exclusiveMinimum: true}
        nullable: {type: boolean}
        example: {$ref: '#/components/schemas/Toy'}
        parent: {$ref: '#/components/schemas/Pet'}
    Toy: {type: string, example: ball}
`

// importBody returns a request body with a document as text.
func importBody(document, more string) string {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return `{"specRaw":` + string(text) + more + `}`
}

func TestImportOpenAPI(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	a.call("POST", "/event-type", `{"name":"pet.adopted","description":"old","featureFlags":["beta"],"schemas":{"1":{},"2":{"type":"array"}}}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"pet.lost","description":""}`, 201, nil)
	const path = "/event-type/import/openapi"
	var dry, made importView
	a.call("POST", path, importBody(petsOpenAPI, `,"dryRun":true,"replaceAll":true`), 200, &dry)
	if !slices.Equal(dry.Data.Modified, []string{"pet.adopted", "pet.born"}) || !slices.Equal(dry.Data.Archived, []string{"pet.lost"}) ||
		len(dry.Data.ToModify) != 2 || dry.Data.ToModify[0].New || !dry.Data.ToModify[1].New {
		t.Fatalf("dry run: %+v", dry)
	}
	a.call("GET", "/event-type/pet.born", "", 404, nil)
	a.call("POST", path, importBody(petsOpenAPI, ``), 200, &made)
	if !slices.Equal(made.Data.Modified, dry.Data.Modified) || len(made.Data.Archived) != 0 || made.Data.ToModify != nil {
		t.Errorf("import: %+v", made)
	}
	var adopted struct {
		Description, GroupName string
		FeatureFlags           []string
		Schemas                map[string]json.RawMessage
	}
	a.call("GET", "/event-type/pet.adopted", "", 200, &adopted)
	const schema = `{"definitions":{"Pet":{"properties":{"age":{"exclusiveMinimum":0,"type":"integer"},"example":{"$ref":"#/definitions/Toy"},"name":{"type":["string","null"]},` +
		`"nullable":{"type":"boolean"},"parent":{"$ref":"#/definitions/Pet"}},"required":["name"],"type":"object"},"Toy":{"example":"ball","type":"string"}},` +
		`"examples":[{"born":"2020-02-03","name":"Rex"}],"properties":{"age":{"exclusiveMinimum":0,"type":"integer"},"example":{"$ref":"#/definitions/Toy"},` +
		`"name":{"type":["string","null"]},"nullable":{"type":"boolean"},"parent":{"$ref":"#/definitions/Pet"}},"required":["name"],"type":"object"}`
	if adopted.Description != "A pet was adopted." || adopted.GroupName != "Happy-events" || !slices.Equal(adopted.FeatureFlags, []string{"beta"}) ||
		string(adopted.Schemas["1"]) != schema || string(adopted.Schemas["2"]) != `{"type":"array"}` {
		t.Errorf("imported: %+v\n%s", adopted, adopted.Schemas["1"])
	}

	// The same once more changes nothing; with replaceAll, what it lacks is archived, and comes
	// back later.
	a.call("POST", path, importBody(petsOpenAPI, `,"replaceAll":true`), 200, &made)
	if len(made.Data.Modified) != 0 || !slices.Equal(made.Data.Archived, []string{"pet.lost"}) {
		t.Errorf("again: %+v", made)
	}
	a.call("POST", path, `{"spec":{"openapi":"3.1.0","webhooks":{"pet.lost":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Lost"}}}}}}},
		"components":{"schemas":{"Lost":{"type":"object","properties":{"n":{"type":"integer","maximum":12345678901234567890}},"examples":[{"n":1}]}}}}}`, 200, &made)
	var lost struct {
		Archived bool
		Schemas  map[string]json.RawMessage
	}
	a.call("GET", "/event-type/pet.lost", "", 200, &lost)
	if text := string(lost.Schemas["1"]); lost.Archived || !strings.Contains(text, `"maximum":12345678901234567890`) || !strings.Contains(text, "2020-12") {
		t.Errorf("restored: %+v %s", lost, text)
	}
	file := filepath.Join(t.TempDir(), "pets.yaml")
	if err := os.WriteFile(file, []byte(petsOpenAPI), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, said, err := a.hookwheel("event-type", "import", file, "--dry-run", "--replace-all"); err != nil || out != "Would be archived: pet.lost\n" {
		t.Errorf("%s%s%v", out, said, err)
	}
}

func TestImportOpenAPIRefused(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	webhook := func(schema string) string {
		return `{"openapi":"3.1.0","webhooks":{"a":{"post":{"requestBody":{"content":{"application/json":{"schema":` + schema + `}}}}}}}`
	}
	var many, bomb strings.Builder
	for i := range 501 {
		fmt.Fprintf(&many, `%q:{"post":{}},`, fmt.Sprint("w", i))
	}
	bomb.WriteString("openapi: 3.1.0\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	var refers []string
	for i := range 499 {
		refers = append(refers, fmt.Sprintf(`"w%d":{"$ref":"#/b"}`, i))
	}
	referring := strings.Join(refers, ",") // each to a path that is long, but leads nowhere
	for document, want := range map[string]string{
		``:                                 "OpenAPI",
		`{`:                                "neither JSON nor YAML",
		`[]`:                               "OpenAPI",
		`swagger: "2.0"`:                   "OpenAPI",
		`openapi: 3.1.0`:                   "no webhooks",
		`{"openapi":"3.1.0","webhooks":7}`: "no webhooks",
		`{"openapi":"3.1.0","webhooks":{"a":{"get":{}}}}`:                                                              "post",
		`{"openapi":"3.1.0","webhooks":{"a b":{"post":{}}}}`:                                                           "letters",
		`{"openapi":"3.1.0","webhooks":{"a":{"post":{"operationId":"b"}},"a/":{"post":{"operationId":"a"}}}}`:          "two webhooks",
		`{"openapi":"3.1.0","webhooks":{` + strings.TrimSuffix(many.String(), ",") + `}}`:                              "more than 500",
		webhook(`{"type":"nothing"}`):                                                                                  "JSON Schema",
		webhook(`{"$ref":"#/components/schemas/None"}`):                                                                "components/schemas",
		webhook(`{"$ref":"https://example.com/schema.json"}`):                                                          "components/schemas",
		webhook(`{"$ref":"file:///etc/passwd"}`):                                                                       "components/schemas",
		webhook(`[]`):                                                                                                  "not an object",
		webhook(strings.Repeat(`{"not":`, 99) + `{}` + strings.Repeat("}", 99)):                                        "nested",
		webhook(`{"title":"` + strings.Repeat("t", 257<<10) + `"}`):                                                    "256 KiB",
		`{"openapi":"3.1.0","webhooks":{` + referring + `},"b":{"$ref":"#/none` + strings.Repeat("/", 900_000) + `"}}`: "post",
		bomb.String(): "alias",
	} {
		response, text := a.raw("POST", "/api/v1/event-type/import/openapi", "Bearer "+apiToken, []byte(importBody(document, "")))
		if response.StatusCode != 422 || !strings.Contains(string(text), want) {
			t.Errorf("%.100s: %d %.300s", document, response.StatusCode, text)
		}
	}
	for _, body := range []string{``, `{}`, `{"spec":[]}`, `{"specRaw":7}`, `{"specRaw":"x","dryRun":"yes"}`} {
		a.call("POST", "/event-type/import/openapi", body, 422, nil)
	}
	var list struct{ Data []struct{ Name string } }
	a.call("GET", "/event-type", "", 200, &list)
	if len(list.Data) != 0 {
		t.Errorf("refused documents left %v", list.Data)
	}
}

// An import that has failed half-way goes on when it is repeated with its idempotency key, and its
// answer has what was done before.
func TestImportContinues(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Limits.EventTypes = 3 })
	for _, name := range []string{"old", "other"} {
		a.call("POST", "/event-type", `{"name":"`+name+`","description":""}`, 201, nil)
	}
	const path, body = "/event-type/import/openapi", `{"spec":{"openapi":"3.1.0","webhooks":{"a":{"post":{}},"b":{"post":{}}}}}`
	if status, text := a.postOnce(path, "k", body); status != 400 || !strings.Contains(text, "1 event types were imported") {
		t.Fatal(status, text)
	}
	a.call("DELETE", "/event-type/other?expunge=true", "", 204, nil)
	for range 2 {
		status, text := a.postOnce(path, "k", body)
		var made importView
		if err := json.Unmarshal([]byte(text), &made); err != nil || status != 200 || !slices.Equal(made.Data.Modified, []string{"a", "b"}) {
			t.Error(status, text, err)
		}
	}
}
