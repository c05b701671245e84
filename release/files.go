package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"hookwheel/cli"
)

// file is one that is installed; its path is absolute, and that of a folder ends in a slash.
type file struct {
	path    string
	mode    os.FileMode
	content []byte
	config  bool // which operators change
}

const docs = "/usr/share/doc/hookwheel/"

// files returns what all platforms get, sorted as it was added.
func (b *builder) files(program, manifest []byte) ([]file, error) {
	files := []file{{path: "/usr/bin/hookwheel", mode: 0o755, content: program}, {path: docs + "sbom.cdx.json", mode: 0o644, content: manifest}}
	for _, name := range []string{"README.md", "LICENSE", "config.example.hcl"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: docs + name, mode: 0o644, content: content})
	}
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		return nil, err
	}
	files = append(files, file{path: docs + "changelog.gz", mode: 0o644, content: compress(changes)})
	completions, err := b.completions()
	if err != nil {
		return nil, err
	}
	manual, err := b.manual()
	return append(append(files, completions...), manual...), err
}

func (b *builder) completions() ([]file, error) {
	var files []file
	root := cli.New(b.version)
	for _, shell := range []struct {
		path     string
		generate func(*bytes.Buffer) error
	}{
		{"/usr/share/bash-completion/completions/hookwheel", func(out *bytes.Buffer) error { return root.GenBashCompletionV2(out, true) }},
		{"/usr/share/zsh/vendor-completions/_hookwheel", func(out *bytes.Buffer) error { return root.GenZshCompletion(out) }},
		{"/usr/share/fish/vendor_completions.d/hookwheel.fish", func(out *bytes.Buffer) error { return root.GenFishCompletion(out, true) }},
	} {
		var out bytes.Buffer
		if err := shell.generate(&out); err != nil {
			return nil, err
		}
		files = append(files, file{path: shell.path, mode: 0o644, content: out.Bytes()})
	}
	return files, nil
}

// manual returns a manual page for each command.
func (b *builder) manual() ([]file, error) {
	folder, err := os.MkdirTemp("", "release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	root := cli.New(b.version)
	prepareManual(root)
	header := &doc.GenManHeader{Section: "1", Date: &b.time, Source: "hookwheel " + b.version, Manual: "Hookwheel"}
	if err := doc.GenManTree(root, header, folder); err != nil {
		return nil, err
	}
	pages, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, page := range pages { // sorted
		content, err := os.ReadFile(filepath.Join(folder, page.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: "/usr/share/man/man1/" + page.Name() + ".gz", mode: 0o644, content: compress(content)})
	}
	return files, nil
}

var indented = regexp.MustCompile(`(?m)(^  .*\n?)+`)

// prepareManual turns what is indented into literal text in Markdown, which cobra takes help for.
func prepareManual(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.Long = indented.ReplaceAllStringFunc(cmd.Long, func(block string) string {
		return "\n  " + strings.ReplaceAll(strings.TrimSuffix(block, "\n"), "\n", "\n  ") + "\n"
	})
	for _, child := range cmd.Commands() {
		prepareManual(child)
	}
}

//go:embed hookwheel.service
var unit []byte

//go:embed hookwheel.hcl
var configuration []byte

// serviceFiles returns what only packages have.
func (b *builder) serviceFiles() []file {
	return []file{
		{path: "/etc/hookwheel/", mode: 0o750},
		{path: "/etc/hookwheel/hookwheel.hcl", mode: 0o640, content: configuration, config: true},
		{path: "/usr/lib/systemd/system/hookwheel.service", mode: 0o644, content: unit},
	}
}

// compress returns content as gzip writes it without a name and a time, and as small as it gets,
// which Debian wants of manual pages.
func compress(content []byte) []byte { return compressTo(gzip.BestCompression, content) }

// pack is compress for the program, which takes a third of the time for a hundredth more bytes.
func pack(content []byte) []byte { return compressTo(gzip.DefaultCompression, content) }

func compressTo(level int, content []byte) []byte {
	var out bytes.Buffer
	writer, err := gzip.NewWriterLevel(&out, level)
	if err == nil {
		_, err = writer.Write(content)
	}
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("compressing in memory: %v", err)) // the level is valid, and a buffer takes all
	}
	return out.Bytes()
}
