package reference

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"strings"
	"sync"
)

// Page returns the reference page, which needs nothing else from the network.
var Page = sync.OnceValues(func() ([]byte, error) {
	document, err := parsed()
	if err != nil {
		return nil, err
	}
	return page{document}.html()
})

// page is an OpenAPI document as its readers see it.
type page struct{ document object }

// group is the operations with the same tag.
type group struct {
	Name, Description string
	Operations        []operation
}

type operation struct {
	ID, Method, Path, Summary, Description string
	Roles                                  []string
	Parameters                             []object
	Body                                   object // a schema; nil: none
	Responses                              []response
}

type response struct {
	Status, Description string
	Schema              object // nil: no JSON
	Shared              bool   // with other operations, as errors are
}

// title returns the name of the API.
func (p page) title() string { return p.document.Object("info").Text("title") }

// description returns what all operations have in common.
func (p page) description() string { return p.document.Object("info").Text("description") }

// groups returns the operations by tag.
func (p page) groups() (groups []group) {
	for _, tag := range p.document.list("tags") {
		g := group{Name: tag.(object).Text("name"), Description: tag.(object).Text("description")}
		for _, path := range p.document.Object("paths") {
			shared := path.Value.(object)
			for _, m := range shared {
				if o, is := m.Value.(object); is && slices.Contains(o.list("tags"), any(g.Name)) {
					g.Operations = append(g.Operations, p.operation(path.Name, m.Name, o, shared.list("parameters")))
				}
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func (p page) operation(path, method string, o object, shared []any) operation {
	op := operation{ID: o.Text("operationId"), Method: strings.ToUpper(method), Path: path, Summary: o.Text("summary"), Description: o.Text("description")}
	for _, scheme := range o.list("security") {
		for _, role := range scheme.(object).list("token") {
			op.Roles = append(op.Roles, role.(string))
		}
	}
	for _, parameter := range slices.Concat(shared, o.list("parameters")) {
		op.Parameters = append(op.Parameters, p.resolve(parameter.(object)))
	}
	op.Body = o.Object("requestBody").Object("content").Object("application/json").Object("schema")
	for _, m := range o.Object("responses") {
		resolved := p.resolve(m.Value.(object))
		op.Responses = append(op.Responses, response{m.Name, resolved.Text("description"),
			resolved.Object("content").Object("application/json").Object("schema"), m.Value.(object).Text("$ref") != ""})
	}
	return op
}

// schemas returns the objects that bodies consist of; simple types are shown where they are used.
func (p page) schemas() (schemas []member) {
	for _, m := range p.document.Object("components").Object("schemas") {
		if m.Value.(object).get("properties") != nil {
			schemas = append(schemas, m)
		}
	}
	return schemas
}

// resolve follows a reference.
func (p page) resolve(o object) object {
	for o.Text("$ref") != "" {
		at := p.document
		for name := range strings.SplitSeq(strings.TrimPrefix(o.Text("$ref"), "#/"), "/") {
			at = at.Object(name)
		}
		o = at
	}
	return o
}

// typeOf describes the type of a schema, with links to the objects that schemas returns.
func (p page) typeOf(schema object) string {
	if name := strings.TrimPrefix(schema.Text("$ref"), "#/components/schemas/"); name != "" && p.resolve(schema).get("properties") != nil {
		return fmt.Sprintf(`<a href="#%s">%s</a>`, anchor(name), html.EscapeString(name))
	}
	schema = p.resolve(schema)
	if values := schema.list("enum"); len(values) > 0 {
		return p.words(values, func(v any) string { return html.EscapeString(toJSON(v)) })
	}
	for _, combined := range [][]any{schema.list("allOf"), schema.list("anyOf")} {
		if len(combined) > 0 {
			return p.words(combined, func(v any) string { return p.typeOf(v.(object)) })
		}
	}
	kinds := schema.list("type")
	if len(kinds) == 0 {
		kinds = []any{schema.get("type")}
	}
	return p.words(kinds, func(kind any) string {
		switch items, values := schema.Object("items"), schema.Object("additionalProperties"); {
		case kind == nil && schema.get("type") == nil:
			return "anything"
		case kind == "array" && items != nil:
			return "list of " + p.typeOf(items)
		case kind == "object" && values != nil:
			return "object of " + p.typeOf(values)
		case kind == "string" && schema.get("format") == "date-time":
			return "time"
		default:
			return html.EscapeString(fmt.Sprint(kind))
		}
	})
}

func (p page) words(list []any, word func(any) string) string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = word(item)
	}
	return strings.Join(words, " or ")
}

// field is a row in the table of an object.
type field struct {
	Name       string
	Schema     object
	Required   bool
	Deprecated bool
}

func (p page) fields(schema object) (fields []field) {
	required := p.resolve(schema).list("required")
	for _, m := range p.resolve(schema).Object("properties") {
		inner := m.Value.(object)
		fields = append(fields, field{m.Name, inner, slices.Contains(required, any(m.Name)), p.resolve(inner).get("deprecated") == true})
	}
	return fields
}

// note returns the description of a value, or else that of its type.
func (p page) note(schema object) string {
	if text := p.resolve(schema).Text("description"); text != "" {
		return text
	}
	for _, combined := range slices.Concat(schema.list("allOf"), schema.list("anyOf")) {
		if text := p.note(combined.(object)); text != "" {
			return text
		}
	}
	return ""
}

// example returns a sample body.
func (p page) example(schema object) string {
	text, err := json.MarshalIndent(p.sample(schema), "", "  ")
	if err != nil {
		return err.Error() // the reader of the page sees it
	}
	return string(text)
}

func (p page) sample(schema object) any {
	schema = p.resolve(schema)
	for _, combined := range slices.Concat(schema.list("allOf"), schema.list("anyOf")) {
		return p.sample(combined.(object))
	}
	kind := schema.get("type")
	if kinds, several := kind.([]any); several {
		kind = kinds[0]
	}
	switch examples, values := schema.list("examples"), schema.list("enum"); {
	case len(examples) > 0:
		return examples[0]
	case len(values) > 0:
		return values[0]
	case schema.get("default") != nil:
		return schema.get("default")
	case schema.get("properties") != nil:
		sample := object{}
		for _, m := range schema.Object("properties") {
			if inner := m.Value.(object); p.resolve(inner).get("deprecated") != true {
				sample = append(sample, member{m.Name, p.sample(inner)})
			}
		}
		return sample
	case kind == "array":
		return []any{p.sample(schema.Object("items"))}
	case kind == "object":
		return object{}
	case kind == "integer":
		return 1
	case kind == "boolean":
		return false
	default:
		return "…"
	}
}

func toJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
