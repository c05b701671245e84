package pages_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hookwheel/httpapi/pages"
	"hookwheel/httpapi/pages/bundle"
)

// The first page takes at most 45 KiB on the wire, in any language.
func TestFirstLoad(t *testing.T) {
	assets, err := pages.Assets()
	if err != nil {
		t.Fatal(err)
	}
	for door, names := range map[string][]string{"portal": {"portal.html", "portal.js"}, "console": {"console.html", "console.js", "chunk.js"}} {
		for _, language := range []string{"en.js", "de.js"} {
			total := 0
			for _, name := range append([]string{"style.css", language}, names...) {
				asset := assets[name]
				if asset == nil {
					t.Fatalf("%s is missing", name)
				}
				total += len(asset.Gzip)
			}
			if total > 45<<10 {
				t.Errorf("%s with %s: %d bytes", door, language, total)
			}
			t.Logf("%s with %s: %d bytes", door, language, total)
		}
	}
}

// What is served is what the sources give.
func TestDistIsCurrent(t *testing.T) {
	files, err := bundle.Files(".")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("dist")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()] == nil {
			t.Errorf("dist/%s is no longer made: remove it", entry.Name())
		}
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
