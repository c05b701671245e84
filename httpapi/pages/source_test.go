package pages_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
)

// run runs a script, which may import sources of the pages, in Node.js, and decodes what it prints.
func run(t *testing.T, script string, printed any) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node.js is not installed")
	}
	result := api.Build(api.BuildOptions{
		Stdin:    &api.StdinOptions{Contents: script, ResolveDir: "src", Loader: api.LoaderTS},
		Bundle:   true,
		Platform: api.PlatformNode,
		Loader:   map[string]api.Loader{".md": api.LoaderText},
	})
	if len(result.Errors) > 0 {
		t.Fatal(result.Errors)
	}
	cmd := exec.CommandContext(t.Context(), "node", "-")
	cmd.Stdin = strings.NewReader(string(result.OutputFiles[0].Contents))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	if err := json.Unmarshal(out, printed); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The page of verifiers finds the function of each language in the documentation.
func TestFunctions(t *testing.T) {
	type function struct{ Name, Code string }
	page, err := os.ReadFile("../../docs/receiving.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []function
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		_, block, _ := strings.Cut(text, "\n```")
		_, code, _ := strings.Cut(block, "\n")
		code, _, _ = strings.Cut(code, "\n```")
		want = append(want, function{name, code + "\n"})
	}
	run(t, `import { functionsOf } from './functions'
import page from '../../../docs/receiving.md'
console.log(JSON.stringify(functionsOf(page)))`, &got)
	if len(got) < 10 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %d functions:\n%q\nwant %d:\n%q", len(got), got, len(want), want)
	}
}

// Texts in JSON are shown as JSON.stringify would, but numbers and repeated keys stay as they are.
func TestJSONText(t *testing.T) {
	script := `import { lines, member, pretty, separate, visible } from './json'
const texts = ['{}', '[]', '""', ' -15 ', 'null', '{"a":{},"b":[],"c":[{}],"d":[[],[[]]]}', '{"a" : "x\\\\" , "b":"\\"}:,", "c\\"":[true,false,null,0]}',
  JSON.stringify({ list: Array.from({ length: 50 }, (_, i) => ({ i, half: i / 2, text: '😀 "' + i + '\\', none: null })) })]
const wrong = []
for (const text of texts) {
  const want = JSON.stringify(JSON.parse(text), null, 2)
  if (pretty(text) !== want) wrong.push([text, pretty(text), want])
}
const same = (got, want) => JSON.stringify(got) === JSON.stringify(want) || wrong.push([got, want])
same(pretty('[12345678901234567890,1.10]'), '[\n  12345678901234567890,\n  1.10\n]')
same(pretty('-1.50e+3'), '-1.50e+3')
same(pretty('{"a":1,"a":2}'), '{\n  "a": 1,\n  "a": 2\n}')
same([...lines('{"k":[1,"s",true]}')].flatMap((l) => l.tokens.map((k) => k.kind)), ['', 'key', '', '', 'number', '', 'string', '', 'word', '', ''])
const object = ' { "x" : {"payload":1} , "payload" : [ {"a":"]"} , 1.10 ] , "p\\u0061yload" : 2, "n":0.50 } '
same(member(object, 'payload'), '[ {"a":"]"} , 1.10 ]')
same(member(object, 'n'), '0.50')
same(member(object, 'a'), undefined)
same(member('{}', 'a'), undefined)
same(separate(object, 'payload')[1], ' { "x" : {"payload":1} , "payload" : null , "p\\u0061yload" : 2, "n":0.50 } ')
same(visible('a\tb\n\u202e\x1b\x9b\u061c\u{e0041}\ud800 é😀'), 'a\tb\n\\u202e\\u001b\\u009b\\u061c\\udb40\\udc41\\ud800 é😀')
console.log(JSON.stringify(wrong))`
	var wrong [][]any
	run(t, script, &wrong)
	for _, w := range wrong {
		t.Errorf("%q", w)
	}
}
