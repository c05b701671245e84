package systemtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// A page is a Markdown file of the documentation. What it shows is held to these rules:
//
//   - Blocks of sh are commands that are run, one block after the other, in one shell per page.
//   - Blocks of console are commands behind "$ ", each followed by what it prints, which is
//     compared. "…" matches anything in a line, a line of "…" any lines. IDs and times may differ.
//   - Blocks of hcl are configurations without mistakes. One that begins with "# NAME.hcl" is
//     written to that file. Blocks of javascript and python are programs that succeed, and blocks
//     of json and yaml can be parsed.
//   - <!-- not run: REASON --> in front of a block says why it isn't; <!-- tested by TEST: REASON
//     --> which other test does it; <!-- before: COMMANDS --> what readers are taken to have done.
//   - <!-- no node --> in a page: it starts its own. Others find a node with the application acme,
//     its endpoint billing and the event type invoice.paid.
//   - Code is fenced, never indented.
type page struct {
	path   string
	text   string
	blocks []block
	noNode bool
}

type block struct {
	language string
	text     string
	line     int    // of the fence
	notRun   string // reason
	testedBy string // name of a test
	before   string // commands
}

var (
	comment  = regexp.MustCompile(`(?s)<!-- (not run|tested by|before|no node)(?:: | (Test\w+): )?(.*?) ?-->`)
	listItem = regexp.MustCompile(`^\s*([-*]|\d+\.) `)
)

// documentation returns all pages: those in the root and in docs.
func documentation(t *testing.T) (pages []page) {
	t.Helper()
	paths, err := filepath.Glob("../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../docs", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		pages = append(pages, readPage(t, path))
	}
	return pages
}

func readPage(t *testing.T, path string) page {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := page{path: path, text: string(text)}
	if err := p.parse(); err != nil {
		t.Fatal(err)
	}
	return p
}

// parse finds the blocks of a page and the comments that belong to them.
func (p *page) parse() error {
	var open *block // the block that the line is in
	var indent, prose string
	for i, line := range strings.Split(p.text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch fence, isFence := strings.CutPrefix(trimmed, "```"); {
		case !isFence && open == nil:
			prose += line + "\n"
		case !isFence:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case open == nil:
			indent = line[:len(line)-len(trimmed)]
			open = &block{language: fence, line: i + 1}
			if err := p.readComments(open, prose); err != nil {
				return fmt.Errorf("%s:%d: %w", p.path, i+1, err)
			}
			prose = ""
		default:
			p.blocks = append(p.blocks, *open)
			open = nil
		}
	}
	if open != nil {
		return fmt.Errorf("%s:%d: the block does not end", p.path, open.line)
	}
	return p.readComments(&block{}, prose)
}

// readComments reads the comments in the text in front of a block.
func (p *page) readComments(b *block, prose string) error {
	prose = dedent(prose)
	matches := comment.FindAllStringSubmatchIndex(prose, -1)
	for _, at := range matches {
		kind, content := prose[at[2]:at[3]], strings.TrimSpace(prose[at[6]:at[7]])
		isDirect := strings.TrimSpace(prose[at[1]:]) == "" && b.line > 0
		switch kind {
		case "no node":
			p.noNode = true
		case "before":
			b.before += content + "\n"
			if b.line == 0 {
				return fmt.Errorf("%s: no block follows the comment %q", p.path, content)
			}
		default:
			if !isDirect || len(strings.Fields(content)) < 2 {
				return fmt.Errorf("the comment %q needs a reason and a block right behind it", prose[at[0]:at[1]])
			}
			if kind == "tested by" {
				b.testedBy = prose[at[4]:at[5]]
			}
			b.notRun = content
		}
	}
	return nil
}

// dedent removes the blanks in front of lines, which blocks in lists have, but for those within.
func dedent(text string) string {
	return regexp.MustCompile(`(?m)^   ( *)`).ReplaceAllString(text, "$1")
}

// prose returns the lines of a page outside of blocks, by number; the others are empty.
func (p *page) prose() []string {
	lines := strings.Split(p.text, "\n")
	inBlock := false
	for i, line := range lines {
		isFence := strings.HasPrefix(strings.TrimLeft(line, " "), "```")
		if isFence || inBlock {
			lines[i] = ""
		}
		if isFence {
			inBlock = !inBlock
		}
	}
	return lines
}

// typedCommand matches a line that looks as if it should be run.
var typedCommand = regexp.MustCompile(`(?m)^(\$ |sudo |\./hookwheel |hookwheel |curl |go (run|build|test) |apt|dpkg |rpm |systemctl |kubectl |helm |docker |podman |openssl |export )`)

// otherCode matches the other ways to write blocks of code, which readPage does not know.
var otherCode = regexp.MustCompile("^ *(~~~|````|<pre)")

// Each block of the documentation is of a kind that is checked, or says why it is not.
func TestDocsBlocks(t *testing.T) {
	pages, notRun := documentation(t), 0
	tests := testNames(t)
	for _, p := range pages {
		for _, b := range p.blocks {
			if err := b.check(); err != nil {
				t.Errorf("%s:%d: %v", p.path, b.line, err)
			}
			if b.testedBy != "" && !slices.Contains(tests, b.testedBy) {
				t.Errorf("%s:%d: there is no test %s", p.path, b.line, b.testedBy)
			}
			if b.notRun != "" && b.testedBy == "" {
				notRun++
				t.Logf("%s:%d is not run: %s", p.path, b.line, b.notRun)
			}
		}
		for i, line := range p.prose() {
			if otherCode.MatchString(line) {
				t.Errorf("%s:%d: code belongs between fences of three backticks", p.path, i+1)
			}
		}
		if line := indentedCode(p.prose()); line > 0 {
			t.Errorf("%s:%d: code is indented; put it between fences with a language", p.path, line)
		}
	}
	t.Logf("%d blocks are not run", notRun)
}

func (b *block) check() error {
	switch b.language {
	case "sh", "console", "hcl", "javascript", "python": // run by TestDocs
		return nil
	case "json":
		if b.notRun == "" && !json.Valid([]byte(b.text)) {
			return fmt.Errorf("is not valid JSON")
		}
		return nil
	case "yaml":
		var value any
		return yaml.Unmarshal([]byte(b.text), &value)
	case "text":
		if found := typedCommand.FindString(b.text); found != "" && b.notRun == "" {
			return fmt.Errorf("has commands (%q), so it should be of the kind sh or console", found)
		}
		return nil
	case "":
		return fmt.Errorf("has no language")
	default:
		if b.testedBy == "" {
			return fmt.Errorf("blocks of the language %q need <!-- tested by … -->", b.language)
		}
		return nil
	}
}

// indentedCode returns the number of the first line of a block that is indented, not fenced, or 0.
func indentedCode(prose []string) int {
	inList, inComment, wasBlank := false, false, false
	for i, line := range prose {
		isIndented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		switch {
		case strings.HasPrefix(line, "<!--"):
			inComment = !strings.Contains(line, "-->")
		case inComment:
			inComment = !strings.Contains(line, "-->")
		case line == "":
		case isIndented && wasBlank && !inList:
			return i + 1
		case listItem.MatchString(line):
			inList = true
		case !strings.HasPrefix(line, " "):
			inList = false
		}
		wasBlank = line == ""
	}
	return 0
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t `)

// testNames returns the names of all tests of the repository.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range testFunction.FindAllStringSubmatch(string(source), -1) {
				names = append(names, match[1])
			}
		}
	}
	return names
}

var (
	link    = regexp.MustCompile(`(?:\]\(|^\[[^\]]+\]: *|href="|src=")([^()\s"]+)`)
	code    = regexp.MustCompile("`[^`]*`")
	heading = regexp.MustCompile(`^#+ +(.*)$`)
)

// Links of the documentation lead to files and headings that exist, and the index to all pages.
func TestDocsLinks(t *testing.T) {
	pages := documentation(t)
	anchors := make(map[string][]string)
	for _, p := range pages {
		anchors[filepath.Clean(p.path)] = p.anchors()
	}
	linked := make(map[string]bool) // from the index
	for _, p := range pages {
		for i, line := range p.prose() {
			for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				if strings.Contains(match[1], "://") {
					continue
				}
				file, anchor, hasAnchor := strings.Cut(match[1], "#")
				target := filepath.Clean(p.path)
				if file != "" {
					target = filepath.Join(filepath.Dir(p.path), file)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s:%d: %v", p.path, i+1, err)
				} else if hasAnchor && !slices.Contains(anchors[target], anchor) {
					t.Errorf("%s:%d: %s has no heading #%s", p.path, i+1, target, anchor)
				}
				if p.path == "../docs/README.md" {
					linked[target] = true
				}
			}
		}
	}
	for _, p := range pages {
		path := filepath.Clean(p.path)
		if strings.HasPrefix(path, "../docs/") && path != "../docs/README.md" && !linked[path] {
			t.Errorf("docs/README.md does not link to %s", path)
		}
	}
}

// anchors returns the names that headings have in links, as GitHub makes them.
func (p *page) anchors() (names []string) {
	for _, line := range p.prose() {
		match := heading.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])
		unique := name
		for n := 1; slices.Contains(names, unique); n++ {
			unique = fmt.Sprintf("%s-%d", name, n)
		}
		names = append(names, unique)
	}
	return names
}
