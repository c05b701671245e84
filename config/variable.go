package config

// Environment variables. Each setting has one, made of its name.

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

const variablePrefix = "HOOKWHEEL_"

// peerSetting is the setting that peer blocks make up: in a variable, it is a list of
// id=host:port.
const peerSetting = "cluster.peer"

// clientVariables are read by the commands that call a node.
var clientVariables = []string{"HOOKWHEEL_URL", "HOOKWHEEL_TOKEN"}

// Variable returns the name of the environment variable for a setting: HOOKWHEEL_API_MAX_BODY is
// for api.max_body.
func Variable(setting string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
}

// settingNames returns the names of all settings, sorted.
func settingNames() []string {
	names := []string{peerSetting}
	for path, block := range configSchema {
		if path == peerSetting {
			continue
		}
		for _, key := range block.keys {
			names = append(names, configBlock{path: path}.name(key))
		}
	}
	slices.Sort(names)
	return names
}

// hasVariables reports whether a variable is set for anything in a block.
func hasVariables(path string) bool {
	return slices.ContainsFunc(settingNames(), func(name string) bool {
		return strings.HasPrefix(name, path+".") && os.Getenv(Variable(name)) != ""
	})
}

// readVariables replaces what the file says by what variables say. One that is empty counts as not
// set, as container tools pass those on that nobody has set.
func (b *configBlock) readVariables() {
	for _, key := range configSchema[b.path].keys {
		name := b.name(key)
		text := os.Getenv(Variable(name))
		if text == "" || b.path == peerSetting {
			continue
		}
		if b.content.Attributes == nil {
			b.content.Attributes = make(hcl.Attributes)
		}
		b.content.Attributes[key] = variable(name, key, text)
	}
}

// variable returns a key whose value is a text that an environment variable has.
func variable(setting, key, text string) *hcl.Attribute {
	at := hcl.Range{Filename: Variable(setting)}
	return &hcl.Attribute{Name: key, Expr: variableText{hcl.StaticExpr(cty.StringVal(text), at), text}, Range: at, NameRange: at}
}

// variableText is a text that may also be a list, separated by commas.
type variableText struct {
	hcl.Expression
	text string
}

// ExprList implements an interface that hcl.ExprList looks for.
func (v variableText) ExprList() []hcl.Expression {
	var list []hcl.Expression
	for item := range strings.SplitSeq(v.text, ",") {
		list = append(list, hcl.StaticExpr(cty.StringVal(strings.TrimSpace(item)), v.Range()))
	}
	return list
}

// peerBlocks returns the blocks of the peers, which the items of a variable replace.
func (b configBlock) peerBlocks() []configBlock {
	name := Variable(peerSetting)
	text := os.Getenv(name)
	if text == "" {
		list := b.blocks("peer")
		if len(list) > 0 {
			b.sources[peerSetting] = place(list[0].at)
		}
		return list
	}
	var list []configBlock
	at := hcl.Range{Filename: name}
	b.sources[peerSetting] = name
	for item := range strings.SplitSeq(text, ",") {
		id, address, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			b.fail(at, "peer", `must be a list of id=host:port, such as "n1=10.0.0.1:9071,n2=10.0.0.2:9071"`)
			continue
		}
		attributes := hcl.Attributes{"address": variable(peerSetting, "address", address)}
		list = append(list, configBlock{reading: b.reading, path: peerSetting, label: id, present: true, at: at, labelAt: at,
			content: &hcl.BodyContent{Attributes: attributes}})
	}
	return list
}

// linkVariable matches the names of variables that Kubernetes and Docker set for a service named
// hookwheel or hookwheel-api.
var linkVariable = regexp.MustCompile(`_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// checkVariables looks for variables with our prefix that nothing reads. One that begins as those
// of a block do is a mistake, as an unknown key in the file is: it may be meant to close
// something. Others may be there for other reasons, such as HOOKWHEEL_VERSION, and are only warned
// of.
func (b configBlock) checkVariables() (warnings []string) {
	var known []string
	for _, name := range settingNames() {
		known = append(known, Variable(name))
	}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		isLink := linkVariable.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
		if !strings.HasPrefix(name, variablePrefix) || value == "" || isLink ||
			slices.Contains(known, name) || slices.Contains(clientVariables, name) || b.called[name] {
			continue
		}
		text := "is no setting" + suggestion(name, known)
		if slices.ContainsFunc(configSchema[""].blocks, func(block string) bool { return strings.HasPrefix(name, Variable(block)+"_") }) {
			b.diags = append(b.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: text, Subject: &hcl.Range{Filename: name}})
			continue
		}
		warnings = append(warnings, fmt.Sprintf("the environment variable %s %s", name, text))
	}
	slices.Sort(warnings)
	return warnings
}

// suggestion proposes the known name that is most like a name, if one is.
func suggestion(name string, known []string) string {
	like := slices.MinFunc(known, func(a, b string) int {
		return levenshtein.Distance(name, a, nil) - levenshtein.Distance(name, b, nil)
	})
	if levenshtein.Distance(name, like, nil) > 4 {
		return ""
	}
	return "; did you mean " + like + "?"
}
