package main

import (
	"fmt"
	"os"
	"path/filepath"

	"hookwheel/httpapi/reference"
)

// pages are the files of the reference, and what makes them.
var pages = map[string]func() (string, error){
	"api.md":           reference.Markdown,
	"cli.md":           commands,
	"configuration.md": settings,
	"metrics.md":       metrics,
}

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	for name, page := range pages {
		text, err := page()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// notice is in each page, for whoever would edit it.
func notice(source string) string {
	return "<!-- Made from " + source + " by go generate ./docs/reference. -->\n\n"
}
