// Command build writes the files that browsers load: go generate ./httpapi/pages.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"hookwheel/httpapi/pages/bundle"
)

func main() {
	if err := build("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// build bundles the pages in a folder into its folder dist.
func build(dir string) error {
	files, err := bundle.Files(dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, "dist", name), text, 0o644); err != nil {
			return err
		}
		fmt.Printf("%8d bytes  dist/%s\n", len(text), name)
	}
	return nil
}
