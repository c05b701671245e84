package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"hookwheel/config"
)

// entry is a paragraph of config.example.hcl with the settings that it explains.
type entry struct {
	about    []string
	settings []string // with their blocks: api.max_body
	block    string   // that it explains, if it is about one
}

// settings returns the page of all settings.
func settings() (string, error) {
	example, err := os.ReadFile(root("config.example.hcl"))
	if err != nil {
		return "", err
	}
	entries := parseExample(string(example))
	standard := config.Default()
	defaults := make(map[string]string)
	for _, setting := range standard.Effective() {
		defaults[setting.Name] = setting.Value
		if !slices.ContainsFunc(entries, func(e entry) bool { return slices.Contains(e.settings, setting.Name) }) {
			return "", fmt.Errorf("config.example.hcl does not explain %s", setting.Name)
		}
	}
	var page strings.Builder
	page.WriteString("# Settings\n\n" + notice("config.example.hcl and the settings of a node"))
	page.WriteString(`Every setting with its variable and its default. [Configuration](../configuration.md) describes files,
variables and reloading; [config.example.hcl](../../config.example.hcl) is a file to begin with. Settings
marked with ↻ change on a reload, the others need a restart.
`)
	section := ""
	for _, e := range entries {
		if e.block != "" {
			section = e.block
			fmt.Fprintf(&page, "\n## %s\n\n%s\n", e.block, prose(e.about))
			continue
		}
		if block, _, isInBlock := strings.Cut(e.settings[0], "."); section == "" || !isInBlock && section != "node" {
			section = "node"
			page.WriteString("\n## The node\n")
		} else if isInBlock && section == "node" {
			section = block
		}
		fmt.Fprintf(&page, "\n%s\n\n| setting | variable | default |\n|---|---|---|\n", prose(e.about))
		for _, name := range e.settings {
			value := "none"
			if text := defaults[name]; text != "" {
				value = "`" + text + "`"
			}
			mark := ""
			if config.CanChange(name) {
				mark = " ↻"
			}
			fmt.Fprintf(&page, "| `%s`%s | `%s` | %s |\n", name, mark, config.Variable(name), value)
		}
	}
	return page.String(), nil
}

// root returns the path of a file in the root of the repository.
func root(name string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "../..", name)
}

var (
	settingLine = regexp.MustCompile(`^ *(?:# +)?(\w+) += `)
	blockLine   = regexp.MustCompile(`^ *(?:# +)?(\w+) \{$`)
	peerLine    = regexp.MustCompile(`^ *(peer) "`)
	endLine     = regexp.MustCompile(`^ *(?:# +)?\}$`)
)

// parseExample returns the paragraphs of the example behind its first one, in their order.
func parseExample(text string) (entries []entry) {
	var path []string
	var current entry
	end := func() {
		if len(current.settings) > 0 {
			entries = append(entries, current)
		}
		current = entry{}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		setting := settingLine.FindStringSubmatch(line)
		if setting == nil {
			setting = peerLine.FindStringSubmatch(line)
		}
		block := blockLine.FindStringSubmatch(line)
		switch {
		case line == "":
			end()
		case setting != nil:
			name := strings.Join(append(slices.Clone(path), setting[1]), ".")
			if !slices.Contains(current.settings, name) {
				current.settings = append(current.settings, name)
			}
		case block != nil:
			path = append(path, block[1])
			about := current.about
			if block[1] == "tls" { // its settings follow at once
				current = entry{about: about}
				continue
			}
			entries = append(entries, entry{about: about, block: strings.Join(path, ".")})
			current = entry{}
		case endLine.MatchString(line):
			end()
			path = path[:len(path)-1]
		default:
			current.about = append(current.about, strings.TrimPrefix(strings.TrimLeft(line, " "), "# "))
		}
	}
	end()
	return entries
}

func prose(about []string) string { return escape(strings.Join(about, "\n")) }
