package reference

import (
	"fmt"
	"testing"
)

// TestDocumentReferences follows every reference of the document, and checks that every operation
// has an id and a summary.
func TestDocumentReferences(t *testing.T) {
	document, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	p := page{document}
	seen := make(map[any]bool)
	var visit func(where string, value any)
	visit = func(where string, value any) {
		switch value := value.(type) {
		case object:
			if to := value.Text("$ref"); to != "" {
				if seen[to] = true; p.resolve(value) == nil {
					t.Errorf("%s: nothing found at %s", where, to)
				}
			}
			for _, m := range value {
				visit(where+"/"+m.Name, m.Value)
			}
		case []any:
			for i, item := range value {
				visit(fmt.Sprint(where, "/", i), item)
			}
		}
	}
	visit("", document)
	for _, kind := range []string{"schemas", "parameters", "responses"} {
		for _, m := range document.Object("components").Object(kind) {
			if !seen["#/components/"+kind+"/"+m.Name] {
				t.Errorf("nothing refers to %s %s", kind, m.Name)
			}
		}
	}
	ids := make(map[string]bool)
	for _, g := range p.groups() {
		for _, op := range g.Operations {
			if op.ID == "" || ids[op.ID] || op.Summary == "" {
				t.Errorf("%s %s: needs a unique id and a summary", op.Method, op.Path)
			}
			ids[op.ID] = true
		}
	}
}
