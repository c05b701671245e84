package httpapi

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestOpenAPIOperations holds the document and the router to the same operations.
func TestOpenAPIOperations(t *testing.T) {
	document, err := openapi()
	if err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{\w+\}`)
	described, routed := make(map[string]bool), make(map[string]bool)
	for _, path := range document.Object("paths") {
		for _, m := range path.Value.(object) {
			if m.Name != "parameters" {
				described[string(bytes.ToUpper([]byte(m.Name)))+" "+parameter.ReplaceAllString(path.Name, "{}")] = true
			}
		}
	}
	s := &Server{config: Config{Metrics: prometheus.NewRegistry()}}
	for method, paths := range s.routes().List() {
		for _, path := range paths {
			routed[method+" "+parameter.ReplaceAllString(path, "{}")] = true
		}
	}
	for _, op := range slices.Sorted(maps.Keys(described)) {
		if !routed[op] {
			t.Errorf("%s is in the document, but not in the router", op)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(routed)) {
		if !described[op] {
			t.Errorf("%s is not in the document", op)
		}
	}
}

// TestOpenAPIReferences follows every reference of the document, and asks for what a reader needs.
func TestOpenAPIReferences(t *testing.T) {
	document, err := openapi()
	if err != nil {
		t.Fatal(err)
	}
	r := reference{document}
	seen := make(map[any]bool)
	var visit func(where string, value any)
	visit = func(where string, value any) {
		switch value := value.(type) {
		case object:
			if to := value.Text("$ref"); to != "" {
				if seen[to] = true; r.resolve(value) == nil {
					t.Errorf("%s: nothing is at %s", where, to)
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
	for _, g := range r.Groups() {
		for _, op := range g.Operations {
			if op.ID == "" || ids[op.ID] || op.Summary == "" {
				t.Errorf("%s %s: needs an id of its own and a summary", op.Method, op.Path)
			}
			ids[op.ID] = true
		}
	}
}

// TestDocs asks for a page that has every operation and takes nothing from the network.
func TestDocs(t *testing.T) {
	page, err := docs()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range document.Object("paths") {
		if !bytes.Contains(page, []byte("</b>"+path.Name+"</div>")) {
			t.Errorf("the page lacks %s", path.Name)
		}
	}
	if outside := regexp.MustCompile(`(?i)(src=|@import|url\(|<script|<link)[^>]*`).Find(page); outside != nil {
		t.Errorf("the page asks for something: %s", outside)
	}
	for _, place := range regexp.MustCompile(`href="#([^"]+)"`).FindAllSubmatch(page, -1) {
		if !bytes.Contains(page, fmt.Appendf(nil, `id="%s"`, place[1])) {
			t.Errorf("a link leads to #%s, which is nowhere", place[1])
		}
	}
	if len(page) > 1<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
}
