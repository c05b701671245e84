// Package bundle makes the files that browsers load from the sources of the pages. Only the command
// that writes them and the test that compares them import it: the bundler is not in the server.
package bundle

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// apart are files that a page loads only when it needs them. They import nothing, so that they need
// no code that pages share.
var apart = []string{"src/text/en.ts", "src/text/de.ts", "../../docs/receiving.md"}

// loadApart leaves a dynamic import of such a file to the browser.
func loadApart(args api.OnResolveArgs) (api.OnResolveResult, error) {
	if args.Kind != api.ResolveJSDynamicImport {
		return api.OnResolveResult{}, nil
	}
	name := strings.TrimSuffix(path.Base(args.Path), ".md")
	return api.OnResolveResult{Path: "./" + name + ".js", External: true}, nil
}

// Files bundles the sources in the folder of the pages and returns the files by name. The same
// sources give the same bytes on any machine.
func Files(dir string) (map[string][]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	// The console is split: what its first pages do not need is a file of its own.
	splits := map[bool][]string{true: {"src/console.tsx"}, false: append([]string{"src/portal.tsx", "src/style.css"}, apart...)}
	for split, sources := range splits {
		options := options(dir)
		options.EntryPoints, options.Splitting = sources, split
		result := api.Build(options)
		var problems []error
		for _, m := range api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage}) {
			problems = append(problems, errors.New(strings.TrimSpace(m)))
		}
		if len(problems) > 0 {
			return nil, errors.Join(problems...)
		}
		for _, f := range result.OutputFiles {
			files[filepath.Base(f.Path)] = f.Contents
		}
	}
	return files, nil
}

func options(dir string) api.BuildOptions {
	library := filepath.Join(dir, "third_party", "preact")
	return api.BuildOptions{
		AbsWorkingDir: dir,
		Outdir:        filepath.Join(dir, "dist"),
		ChunkNames:    "[name]",
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
		Plugins: []api.Plugin{{Name: "apart", Setup: func(build api.PluginBuild) {
			build.OnResolve(api.OnResolveOptions{Filter: `/text/|\.md$`}, loadApart)
		}}},
	}
}
