package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"
	"github.com/yuin/goldmark"
)

//go:embed docs.html
var docsHTML string

// docs is the reference page, written from the OpenAPI document. It asks for nothing from the network.
var docs = sync.OnceValues(func() ([]byte, error) {
	document, err := openapi()
	if err != nil {
		return nil, err
	}
	page := reference{document}
	t, err := template.New("docs").Funcs(template.FuncMap{"markdown": markdown, "type": page.typeOf, "fields": page.fields,
		"note": page.note, "example": page.example, "resolve": page.resolve, "anchor": anchor}).Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, page)
	return out.Bytes(), err
})

func (s *Server) getDocs(ctx *fasthttp.RequestCtx) {
	page, err := docs()
	if err != nil {
		s.writeError(ctx, err)
		return
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	ctx.Response.SetBodyRaw(page) // shared by all responses
}

// reference is an OpenAPI document as the page shows it.
type reference struct{ document object }

// group is the operations with one tag.
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
}

// Title is the name of the API.
func (r reference) Title() string { return r.document.Object("info").Text("title") }

// Description says what all operations have in common.
func (r reference) Description() string { return r.document.Object("info").Text("description") }

// Groups are the operations, by tag.
func (r reference) Groups() (groups []group) {
	for _, tag := range r.document.list("tags") {
		g := group{Name: tag.(object).Text("name"), Description: tag.(object).Text("description")}
		for _, path := range r.document.Object("paths") {
			shared := path.Value.(object)
			for _, m := range shared {
				if o, is := m.Value.(object); is && slices.Contains(o.list("tags"), any(g.Name)) {
					g.Operations = append(g.Operations, r.operation(path.Name, m.Name, o, shared.list("parameters")))
				}
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func (r reference) operation(path, method string, o object, shared []any) operation {
	op := operation{ID: o.Text("operationId"), Method: strings.ToUpper(method), Path: path, Summary: o.Text("summary"), Description: o.Text("description")}
	for _, scheme := range o.list("security") {
		for _, role := range scheme.(object).list("token") {
			op.Roles = append(op.Roles, role.(string))
		}
	}
	for _, p := range slices.Concat(shared, o.list("parameters")) {
		op.Parameters = append(op.Parameters, r.resolve(p.(object)))
	}
	op.Body = o.Object("requestBody").Object("content").Object("application/json").Object("schema")
	for _, m := range o.Object("responses") {
		answer := r.resolve(m.Value.(object))
		op.Responses = append(op.Responses, response{m.Name, answer.Text("description"),
			answer.Object("content").Object("application/json").Object("schema")})
	}
	return op
}

// Schemas are the objects that bodies are made of; simple types are shown where they are used.
func (r reference) Schemas() (schemas []member) {
	for _, m := range r.document.Object("components").Object("schemas") {
		if m.Value.(object).get("properties") != nil {
			schemas = append(schemas, m)
		}
	}
	return schemas
}

// resolve follows a reference.
func (r reference) resolve(o object) object {
	for o.Text("$ref") != "" {
		at := r.document
		for name := range strings.SplitSeq(strings.TrimPrefix(o.Text("$ref"), "#/"), "/") {
			at = at.Object(name)
		}
		o = at
	}
	return o
}

// typeOf says in words what a schema takes, with a link to what has a place of its own on the page.
func (r reference) typeOf(schema object) template.HTML {
	if name := strings.TrimPrefix(schema.Text("$ref"), "#/components/schemas/"); name != "" && r.resolve(schema).get("properties") != nil {
		return template.HTML(fmt.Sprintf(`<a href="#%s">%s</a>`, anchor(name), template.HTMLEscapeString(name)))
	}
	schema = r.resolve(schema)
	if values := schema.list("enum"); len(values) > 0 {
		return r.words(values, func(v any) template.HTML { return template.HTML(template.HTMLEscapeString(toJSON(v))) })
	}
	for _, combined := range [][]any{schema.list("allOf"), schema.list("anyOf")} {
		if len(combined) > 0 {
			return r.words(combined, func(v any) template.HTML { return r.typeOf(v.(object)) })
		}
	}
	kinds := schema.list("type")
	if len(kinds) == 0 {
		kinds = []any{schema.get("type")}
	}
	return r.words(kinds, func(kind any) template.HTML {
		switch items, values := schema.Object("items"), schema.Object("additionalProperties"); {
		case kind == nil && schema.get("type") == nil:
			return "anything"
		case kind == "array" && items != nil:
			return "list of " + r.typeOf(items)
		case kind == "object" && values != nil:
			return "object of " + r.typeOf(values)
		case kind == "string" && schema.get("format") == "date-time":
			return "time"
		default:
			return template.HTML(template.HTMLEscapeString(fmt.Sprint(kind)))
		}
	})
}

func (r reference) words(list []any, word func(any) template.HTML) template.HTML {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = string(word(item))
	}
	return template.HTML(strings.Join(words, " or "))
}

// field is a line in the table of an object.
type field struct {
	Name       string
	Schema     object
	Required   bool
	Deprecated bool
}

func (r reference) fields(schema object) (fields []field) {
	required := r.resolve(schema).list("required")
	for _, m := range r.resolve(schema).Object("properties") {
		inner := m.Value.(object)
		fields = append(fields, field{m.Name, inner, slices.Contains(required, any(m.Name)), r.resolve(inner).get("deprecated") == true})
	}
	return fields
}

// note is what is to be said of a value: its own description, or that of its type.
func (r reference) note(schema object) string {
	if text := r.resolve(schema).Text("description"); text != "" {
		return text
	}
	for _, combined := range slices.Concat(schema.list("allOf"), schema.list("anyOf")) {
		if text := r.note(combined.(object)); text != "" {
			return text
		}
	}
	return ""
}

// example is what a body may look like.
func (r reference) example(schema object) string {
	text, err := json.MarshalIndent(r.sample(schema), "", "  ")
	if err != nil {
		return err.Error() // seen by whoever looks at the page
	}
	return string(text)
}

func (r reference) sample(schema object) any {
	schema = r.resolve(schema)
	for _, combined := range slices.Concat(schema.list("allOf"), schema.list("anyOf")) {
		return r.sample(combined.(object))
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
			if inner := m.Value.(object); r.resolve(inner).get("deprecated") != true {
				sample = append(sample, member{m.Name, r.sample(inner)})
			}
		}
		return sample
	case kind == "array":
		return []any{r.sample(schema.Object("items"))}
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

// anchor is the name of a place on the page.
func anchor(name string) string { return strings.ReplaceAll(strings.ToLower(name), " ", "-") }

// markdown turns the text of a description into HTML.
func markdown(text string) (template.HTML, error) {
	var out bytes.Buffer
	err := goldmark.Convert([]byte(text), &out)
	return template.HTML(out.String()), err
}
