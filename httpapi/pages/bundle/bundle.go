// Package bundle makes the files that browsers load from the sources of the pages. Only the command
// that writes them and the test that compares them import it: the bundler is not in the server.
package bundle

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// Files bundles the sources in the folder of the pages and returns the files by name. The same
// sources give the same bytes on any machine.
func Files(dir string) (map[string][]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	library := filepath.Join(dir, "third_party", "preact")
	result := api.Build(api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPoints:   []string{"src/portal.tsx", "src/console.tsx", "src/style.css"},
		Outdir:        filepath.Join(dir, "dist"),
		Bundle:        true,
		Format:        api.FormatESModule,
		Target:        api.ES2022,
		Charset:       api.CharsetUTF8,
		LegalComments: api.LegalCommentsNone,

		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,

		JSX:             api.JSXAutomatic,
		JSXImportSource: "preact",
		Loader:          map[string]api.Loader{".md": api.LoaderText},
		Alias: map[string]string{
			"preact":             filepath.Join(library, "preact.mjs"),
			"preact/hooks":       filepath.Join(library, "hooks.mjs"),
			"preact/jsx-runtime": filepath.Join(library, "jsxRuntime.mjs"),
		},
	})
	var problems []error
	for _, m := range api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage}) {
		problems = append(problems, errors.New(strings.TrimSpace(m)))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	files := make(map[string][]byte)
	for _, f := range result.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	return files, nil
}
