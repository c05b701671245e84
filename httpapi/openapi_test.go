package httpapi

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/httpapi/reference"
)

// TestOpenAPIOperations checks that the document and the router have the same operations.
func TestOpenAPIOperations(t *testing.T) {
	text, err := reference.Document()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	parameter := regexp.MustCompile(`\{\w+\}`)
	described, routed := make(map[string]bool), make(map[string]bool)
	for path, operations := range document.Paths {
		for method := range operations {
			if method != "parameters" {
				described[strings.ToUpper(method)+" "+parameter.ReplaceAllString(path, "{}")] = true
			}
		}
	}
	s := &Server{config: Config{Metrics: prometheus.NewRegistry()}}
	for method, paths := range s.routes().List() {
		for _, path := range paths {
			if isFileOfPages(path) {
				continue
			}
			routed[method+" "+parameter.ReplaceAllString(path, "{}")] = true
		}
	}
	for _, op := range slices.Sorted(maps.Keys(described)) {
		if !routed[op] {
			t.Errorf("%s is in the document but not in the router", op)
		}
	}
	for _, op := range slices.Sorted(maps.Keys(routed)) {
		if !described[op] {
			t.Errorf("%s is not in the document", op)
		}
	}
}

// isFileOfPages reports whether a route serves files of the console and the portal, which the
// document of the API does not list.
func isFileOfPages(path string) bool {
	return strings.HasPrefix(path, "/assets/") || strings.HasSuffix(path, "/{path:*}")
}
