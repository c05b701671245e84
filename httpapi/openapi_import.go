package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hookwheel/webhook"
)

const (
	maxImported        = 500     // webhooks of a document
	maxImportedSchemas = 4 << 20 // bytes of all their schemas
	maxImportedSchema  = 256 << 10
	maxImportedDepth   = 100 // of the document
	maxReferences      = 8   // that lead from one to the next
)

// specification is an OpenAPI document whose webhooks become event types.
type specification struct {
	root   map[string]any
	draft  bool // whether its schemas are JSON Schemas of 2020-12, as from OpenAPI 3.1 on
	bytes  int  // of all schemas so far
	values int  // looked at for them
}

// parseSpecification reads a document in JSON or YAML.
func parseSpecification(text string) (*specification, error) {
	value, err := parseDocument(text)
	if err != nil {
		return nil, err
	}
	root, _ := value.(map[string]any)
	version, _ := root["openapi"].(string)
	if !strings.HasPrefix(version, "3.") {
		return nil, fmt.Errorf(`is not an OpenAPI document of version 3: it lacks openapi: "3.…"`)
	}
	return &specification{root: root, draft: !strings.HasPrefix(version, "3.0")}, nil
}

func parseDocument(text string) (any, error) {
	if !json.Valid([]byte(text)) {
		return parseYAML(text)
	}
	if hasLoneSurrogate(text) {
		return nil, errors.New(notUnicode)
	}
	var value any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if deeper(value, maxImportedDepth) {
		return nil, errTooDeep
	}
	return value, nil
}

// deeper reports whether a value is nested more than so deep.
func deeper(value any, depth int) bool {
	if depth < 0 {
		return true
	}
	switch value := value.(type) {
	case []any:
		return slices.ContainsFunc(value, func(item any) bool { return deeper(item, depth-1) })
	case map[string]any:
		for _, item := range value {
			if deeper(item, depth-1) {
				return true
			}
		}
	}
	return false
}

var errTooDeep = fmt.Errorf("is nested more than %d deep", maxImportedDepth)

// eventTypes returns an event type for each webhook, sorted by name.
func (s *specification) eventTypes(b *body, field string) []webhook.EventType {
	webhooks, key := s.object(s.root["webhooks"]), "webhooks"
	if webhooks == nil {
		webhooks, key = s.object(s.root["x-webhooks"]), "x-webhooks"
	}
	switch {
	case len(webhooks) == 0:
		b.fail(field, "has no webhooks: neither webhooks nor x-webhooks has any")
		return nil
	case len(webhooks) > maxImported:
		b.fail(field, fmt.Sprintf("has more than %d webhooks; split it", maxImported))
		return nil
	}
	var list []webhook.EventType
	for _, name := range slices.Sorted(maps.Keys(webhooks)) {
		t, err := s.eventType(name, s.object(webhooks[name]))
		if err == nil {
			err = t.Validate()
		}
		if err != nil {
			b.fail(field+"/"+key+"/"+strings.ReplaceAll(name, "/", "~1"), err.Error())
			if s.bytes > maxImportedSchemas || s.values > maxImportedValues {
				return nil
			}
			continue
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b webhook.EventType) int { return strings.Compare(a.Name, b.Name) })
	for i, t := range list {
		if i > 0 && list[i-1].Name == t.Name {
			b.fail(field, "has two webhooks for the event type "+t.Name)
		}
	}
	return list
}

func (s *specification) eventType(name string, item map[string]any) (webhook.EventType, error) {
	operation := s.object(item["post"])
	if operation == nil {
		return webhook.EventType{}, fmt.Errorf("has no post operation")
	}
	t := webhook.EventType{Name: name}
	if id, _ := operation["operationId"].(string); webhook.ValidEventTypeName(name) != nil && id != "" {
		t.Name = id
	}
	for _, text := range []any{operation["description"], operation["summary"], item["description"], item["summary"]} {
		if text, is := text.(string); is && t.Description == "" {
			t.Description = strings.TrimSpace(text)
		}
	}
	if tags, _ := operation["tags"].([]any); len(tags) > 0 {
		t.GroupName, _ = tags[0].(string)
		t.GroupName = strings.ReplaceAll(t.GroupName, " ", "-")
	}
	t.Deprecated, _ = operation["deprecated"].(bool)
	schema, err := s.payload(s.object(operation["requestBody"]))
	if err != nil || schema == nil {
		return t, err
	}
	t.Schemas = map[string]json.RawMessage{exampleSchema: schema}
	return t, nil
}

// payload returns the schema of a request body, whole in itself, or nil if it has none.
func (s *specification) payload(requestBody map[string]any) (json.RawMessage, error) {
	content := s.object(requestBody["content"])
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		media := s.object(content[mediaType])
		if !strings.Contains(mediaType, "json") || media["schema"] == nil {
			continue
		}
		converted := &conversion{spec: s, definitions: make(map[string]any)}
		schema, err := converted.schema(media["schema"])
		if err != nil {
			return nil, err
		}
		text, err := converted.finish(schema, s.examples(media))
		if err != nil {
			return nil, err
		}
		if s.bytes += len(text); s.bytes > maxImportedSchemas {
			return nil, fmt.Errorf("makes the schemas larger than %d MiB in all; split the document", maxImportedSchemas>>20)
		}
		if err := checkSchema(string(text)); err != nil {
			return nil, fmt.Errorf("has a schema that %w", err)
		}
		return text, nil
	}
	return nil, nil
}

func (s *specification) examples(media map[string]any) []any {
	if example, is := media["example"]; is {
		return []any{example}
	}
	var list []any
	named := s.object(media["examples"])
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if example := s.object(named[name]); example["value"] != nil {
			list = append(list, example["value"])
		}
	}
	return list
}

// object returns an object, or the one of this document that it refers to; nil if there is none.
func (s *specification) object(value any) map[string]any {
	for range maxReferences {
		object, _ := value.(map[string]any)
		reference, is := object["$ref"].(string)
		if !is {
			return object
		}
		value = s.lookUp(reference)
	}
	return nil
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

// lookUp follows a reference within the document. A long one leads nowhere, and is not followed to
// its end for each webhook that has it.
func (s *specification) lookUp(reference string) any {
	path, local := strings.CutPrefix(reference, "#/")
	if !local {
		return nil
	}
	var value any = s.root
	for part := range strings.SplitSeq(path, "/") {
		object, is := value.(map[string]any)
		if !is {
			return nil
		}
		value = object[unescape.Replace(part)]
	}
	return value
}

// conversion makes one schema whole in itself: what it refers to goes into its definitions.
type conversion struct {
	spec          *specification
	definitions   map[string]any // by name, under components/schemas
	values, bytes int            // so far
}

const componentSchemas = "#/components/schemas/"

// keyword is where definitions are.
func (c *conversion) keyword() string {
	if c.spec.draft {
		return "$defs"
	}
	return "definitions"
}

// add counts a value, so that no conversion takes long: definitions may repeat without end.
func (c *conversion) add(value any) error {
	if c.values++; c.values > maxSchemaValues {
		return fmt.Errorf("has a schema that holds more than %d values", maxSchemaValues)
	}
	if c.spec.values++; c.spec.values > maxImportedValues {
		return fmt.Errorf("makes all schemas hold more than %d values; split the document", maxImportedValues)
	}
	switch value := value.(type) {
	case string:
		return c.addText(value)
	case json.Number:
		return c.addText(value.String())
	}
	return nil
}

// addText counts a text: of a value, a name or a reference, any of which aliases may repeat.
func (c *conversion) addText(text string) error {
	if c.bytes += len(text); c.bytes > maxImportedSchema {
		return fmt.Errorf("has a schema of more than %d KiB", maxImportedSchema>>10)
	}
	return nil
}

// list and named convert what consists of schemas.
func (c *conversion) list(list []any) (any, error) {
	converted := make([]any, len(list))
	for i, item := range list {
		var err error
		if converted[i], err = c.schema(item); err != nil {
			return nil, err
		}
	}
	return converted, nil
}

func (c *conversion) named(value any) (any, error) {
	object, is := value.(map[string]any)
	if !is {
		return value, c.add(value)
	}
	converted := make(map[string]any, len(object))
	for name, item := range object {
		err := c.addText(name)
		if err != nil {
			return nil, err
		}
		if converted[name], err = c.schema(item); err != nil {
			return nil, err
		}
	}
	return converted, c.add(nil)
}

func (c *conversion) schema(value any) (any, error) {
	if err := c.add(value); err != nil {
		return nil, err
	}
	switch value := value.(type) {
	case []any:
		return c.list(value)
	case map[string]any:
		object := make(map[string]any, len(value))
		for keyword, item := range value {
			err := c.addText(keyword)
			if err != nil {
				return nil, err
			}
			if object[keyword], err = c.member(keyword, item); err != nil {
				return nil, err
			}
		}
		if !c.spec.draft {
			fromOpenAPI30(object)
		}
		return object, nil
	}
	return value, nil
}

// member converts a member of a schema.
func (c *conversion) member(keyword string, value any) (any, error) {
	switch keyword {
	case "$ref":
		return c.reference(value)
	case "properties", "patternProperties", "dependentSchemas", "definitions", "$defs":
		return c.named(value)
	case "example", "examples", "default", "enum", "const": // which are not schemas
		return value, c.addAll(value)
	}
	return c.schema(value)
}

// addAll counts a value and all within it.
func (c *conversion) addAll(value any) error {
	if err := c.add(value); err != nil {
		return err
	}
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			if err := c.addAll(item); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, item := range value {
			if err := c.addText(name); err != nil {
				return err
			}
			if err := c.addAll(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conversion) reference(value any) (any, error) {
	text, _ := value.(string)
	if err := c.addText(text); err != nil {
		return nil, err
	}
	path, known := strings.CutPrefix(text, componentSchemas)
	name, rest, _ := strings.Cut(path, "/")
	target := c.spec.lookUp(componentSchemas + name)
	if !known || target == nil {
		return nil, fmt.Errorf("refers to %.200q, which is not in components/schemas", text)
	}
	if _, done := c.definitions[name]; !done {
		c.definitions[name] = nil // it may refer to itself
		schema, err := c.schema(target)
		if err != nil {
			return nil, err
		}
		c.definitions[name] = schema
	}
	if rest != "" {
		name += "/" + rest
	}
	return "#/" + c.keyword() + "/" + name, nil
}

// fromOpenAPI30 rewrites what OpenAPI 3.0 says in its own way.
func fromOpenAPI30(schema map[string]any) {
	if nullable, _ := schema["nullable"].(bool); nullable {
		if kind, is := schema["type"].(string); is {
			schema["type"] = []any{kind, "null"}
		}
	}
	for exclusive, limit := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
		if set, is := schema[exclusive].(bool); is {
			delete(schema, exclusive)
			if set && schema[limit] != nil {
				schema[exclusive] = schema[limit]
				delete(schema, limit)
			}
		}
	}
	for _, name := range []string{"nullable", "discriminator", "xml", "externalDocs"} {
		delete(schema, name)
	}
}

// finish adds definitions, examples and the draft, and writes the schema.
func (c *conversion) finish(schema any, examples []any) (json.RawMessage, error) {
	object, is := schema.(map[string]any)
	if !is {
		return nil, fmt.Errorf("has a schema that is not an object")
	}
	if reference, is := object["$ref"].(string); is && len(object) == 1 { // as siblings of $ref are ignored
		name, nested := strings.CutPrefix(reference, "#/"+c.keyword()+"/")
		if definition, whole := c.definitions[name].(map[string]any); nested && whole {
			object = maps.Clone(definition)
		}
	}
	if own, is := object[c.keyword()].(map[string]any); is {
		for name, definition := range own {
			if _, taken := c.definitions[name]; taken {
				return nil, fmt.Errorf("defines %.200q twice, in its schema and in components/schemas", name)
			}
			c.definitions[name] = definition
		}
	}
	if len(c.definitions) > 0 {
		object[c.keyword()] = c.definitions
	}
	if err := c.addAll(examples); err != nil {
		return nil, err
	}
	if len(examples) > 0 && object["examples"] == nil {
		object["examples"] = examples
	}
	if c.spec.draft && object["$schema"] == nil {
		object["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(object); err != nil {
		return nil, fmt.Errorf("has a value that JSON does not know: %w", err)
	}
	return bytes.TrimSpace(text.Bytes()), nil
}
