package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// reading is what reading a file finds.
type reading struct {
	diags   hcl.Diagnostics
	failed  map[string]bool   // settings that diags are about
	sources map[string]string // where the settings come from: "file:line", or an environment variable
	called  map[string]bool   // environment variables that env names
	eval    *hcl.EvalContext  // the functions that expressions may call; they may not use variables
}

func newReading() *reading {
	r := &reading{failed: make(map[string]bool), sources: make(map[string]string), called: make(map[string]bool)}
	r.eval = &hcl.EvalContext{Functions: map[string]function.Function{"env": r.envFunction()}}
	return r
}

// envFunction is env(name) or env(name, default).
func (r *reading) envFunction() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if len(args) > 2 {
				return cty.NilVal, errors.New("it accepts a name and at most one default")
			}
			name := args[0].AsString()
			r.called[name] = true
			if text, ok := os.LookupEnv(name); ok {
				return cty.StringVal(text), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, fmt.Errorf("the environment variable %s is not set", name)
		},
	})
}

// configBlock is a block of the file, or the file itself, whose keys are read by name. Mistakes
// are added to the reading, so that one run shows all of them.
type configBlock struct {
	*reading // of the whole file
	path     string
	label    string
	present  bool // otherwise it is empty, and at the position of its parent
	at       hcl.Range
	labelAt  hcl.Range
	content  *hcl.BodyContent
}

func openConfig(path string, body hcl.Body) configBlock {
	start := hcl.Range{Filename: path, Start: hcl.InitialPos, End: hcl.InitialPos}
	if path == noFile {
		start = hcl.Range{Filename: path}
	}
	file := configBlock{reading: newReading(), present: true, at: start}
	file.read(body)
	return file
}

// name returns the name of a key here, as in Setting.
func (b configBlock) name(key string) string { return strings.Trim(b.path+"."+key, ".") }

// read reads the keys and blocks that are allowed here, and reports others. Environment variables
// take precedence.
func (b *configBlock) read(body hcl.Body) {
	allowed, schema := configSchema[b.path], &hcl.BodySchema{}
	for _, key := range allowed.keys {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: key})
	}
	for _, kind := range allowed.blocks {
		header := hcl.BlockHeaderSchema{Type: kind}
		if kind == "peer" {
			header.LabelNames = []string{"id"}
		}
		schema.Blocks = append(schema.Blocks, header)
	}
	content, diags := body.Content(schema)
	for _, diag := range diags {
		if strings.HasPrefix(diag.Summary, "Unsupported ") {
			diag.Detail += " Allowed here: " + strings.Join(slices.Concat(allowed.keys, allowed.blocks), ", ") + "."
		}
	}
	b.content = content
	b.diags = append(b.diags, diags...)
	b.readVariables()
}

// blocks returns all blocks of a kind.
func (b configBlock) blocks(kind string) []configBlock {
	var found []configBlock
	for _, block := range b.content.Blocks.OfType(kind) {
		inner := configBlock{reading: b.reading, path: b.name(kind), present: true, at: block.DefRange}
		if len(block.Labels) > 0 {
			inner.label, inner.labelAt = block.Labels[0], block.LabelRanges[0]
		}
		inner.read(block.Body)
		found = append(found, inner)
	}
	return found
}

// block returns the only block of a kind, or an empty one.
func (b configBlock) block(kind string) configBlock {
	found := b.blocks(kind)
	if len(found) == 0 {
		empty := configBlock{reading: b.reading, path: b.name(kind), at: b.at, content: &hcl.BodyContent{}}
		empty.present = hasVariables(empty.path)
		empty.readVariables()
		return empty
	}
	for _, again := range found[1:] {
		again.fail(again.at, "", fmt.Sprintf("is a duplicate block; the first one is in line %d: merge them", found[0].at.Start.Line))
	}
	return found[0]
}

func (b configBlock) has(key string) bool { return b.content.Attributes[key] != nil }

// require adds an error with a hint if a key is missing.
func (b configBlock) require(key, hint string) {
	variable := "set the environment variable " + Variable(b.name(key))
	switch {
	case b.has(key):
	case b.at.Filename == noFile:
		b.fail(b.at, key, "is missing: "+variable+", or name a configuration file")
	default:
		b.fail(b.at, key, "is missing: "+hint+"; or "+variable)
	}
}

// forbid adds an error if a key is present.
func (b configBlock) forbid(key, detail string) {
	if attr := b.content.Attributes[key]; attr != nil {
		b.fail(attr.NameRange, key, detail)
	}
}

// attribute returns a key with its value, or nil, and notes where it is.
func (b configBlock) attribute(key string) *hcl.Attribute {
	attr := b.content.Attributes[key]
	if attr != nil {
		b.sources[b.name(key)] = place(attr.NameRange)
	}
	return attr
}

// place returns a line of a file, or the name of an environment variable, which has no lines.
func place(at hcl.Range) string {
	if at.Start.Line == 0 {
		return at.Filename
	}
	return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line)
}

// valueAt returns the position of the value of a key, which must be present.
func (b configBlock) valueAt(key string) hcl.Range { return b.content.Attributes[key].Expr.Range() }

// fail adds an error about a key, or about the block itself if key is empty.
func (b configBlock) fail(at hcl.Range, key, detail string) {
	name := b.name(key)
	b.failed[name] = true
	b.diags = append(b.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: name + " " + detail, Subject: &at})
}

// explain adds an error for an expression without a value. It omits HCL's texts, some of which
// quote the expression.
func (b configBlock) explain(key string, diags hcl.Diagnostics) {
	for _, diag := range diags {
		detail := notText
		call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](diag)
		if ok && call.FunctionCallError() != nil {
			detail = "cannot be read: " + call.FunctionCallError().Error()
		}
		b.fail(*diag.Subject, key, detail)
	}
}

const notText = `must be text in double quotes, a number or env("NAME")`

// readKey parses the value of a key into target. It returns false, and does not change target, if
// the key is missing or invalid.
func readKey[T any](b configBlock, key string, target *T, parse func(string) (T, error)) bool {
	attr := b.attribute(key)
	return attr != nil && readValue(b, key, attr.Expr, target, parse)
}

// readList is readKey for lists.
func readList[T any](b configBlock, key string, target *[]T, parse func(string) (T, error)) bool {
	attr := b.attribute(key)
	if attr == nil {
		return false
	}
	items, diags := hcl.ExprList(attr.Expr)
	if diags.HasErrors() {
		b.fail(attr.Expr.Range(), key, `must be a list such as ["a", "b"]`)
		return false
	}
	var list []T
	good := true
	for _, item := range items {
		var parsed T
		good = readValue(b, key, item, &parsed, parse) && good
		list = append(list, parsed)
	}
	if good {
		*target = list
	}
	return good
}

// readValue parses the text of an expression; the text of a number is its digits. Errors never
// repeat the value.
func readValue[T any](b configBlock, key string, expr hcl.Expression, target *T, parse func(string) (T, error)) bool {
	value, diags := expr.Value(b.eval)
	if diags.HasErrors() {
		b.explain(key, diags)
		return false
	}
	text, err := convert.Convert(value, cty.String)
	if err != nil || text.IsNull() || !text.IsKnown() {
		b.fail(expr.Range(), key, notText)
		return false
	}
	parsed, err := parse(text.AsString())
	if err != nil {
		b.fail(expr.Range(), key, err.Error())
		return false
	}
	*target = parsed
	return true
}
