package main

import (
	"os"
	"testing"
)

// The pages are what the commands, settings, metrics and operations give.
func TestPages(t *testing.T) {
	for name, page := range pages {
		want, err := page()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what its source gives (%v): run go generate ./docs/reference", name, err)
		}
	}
}
