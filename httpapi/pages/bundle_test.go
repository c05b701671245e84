package pages_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hookwheel/httpapi/pages/bundle"
)

// What is served is what the sources give.
func TestDistIsCurrent(t *testing.T) {
	files, err := bundle.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("dist", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what the sources give: run go generate ./httpapi/pages", name)
		}
	}
}
