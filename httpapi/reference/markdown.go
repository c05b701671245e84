package reference

import (
	"fmt"
	"slices"
	"strings"
)

// Markdown returns the operations of the API as a page of the documentation. Objects are left to
// /docs of a node and the document.
func Markdown() (string, error) {
	document, err := parsed()
	if err != nil {
		return "", err
	}
	p := page{document}
	var out strings.Builder
	out.WriteString("# API\n\n<!-- Made from httpapi/reference/openapi.yaml by go generate ./docs/reference. -->\n\n")
	out.WriteString("Every operation. `/docs` on each node has the same with all fields and examples, without needing a network,\n" +
		"and `/api/v1/openapi.json` the [OpenAPI document](../../httpapi/reference/openapi.yaml).\n\n")
	out.WriteString(p.description() + "\n\n")
	p.writeErrors(&out)
	for _, g := range p.groups() {
		if len(g.Operations) == 0 {
			continue
		}
		fmt.Fprintf(&out, "## %s\n\n%s\n\n", g.Name, g.Description)
		for _, o := range g.Operations {
			p.writeOperation(&out, o)
		}
	}
	return strings.TrimRight(out.String(), "\n") + "\n", nil
}

func (p page) writeOperation(out *strings.Builder, o operation) {
	roles := "everybody, without a token"
	if len(o.Roles) > 0 {
		roles = strings.Join(o.Roles, ", ")
	}
	fmt.Fprintf(out, "### %s\n\n`%s %s` — for %s\n\n", o.Summary, o.Method, o.Path, roles)
	if o.Description != "" {
		out.WriteString(o.Description + "\n\n")
	}
	var rows []string
	for _, parameter := range o.Parameters {
		if in := parameter.Text("in"); in != "path" {
			rows = append(rows, fmt.Sprintf("| `%s` (%s) | %s |\n", parameter.Text("name"), in, inLine(p.note(parameter))))
		}
	}
	for _, f := range p.fields(o.Body) {
		required := ""
		if f.Required {
			required = ", required"
		}
		rows = append(rows, fmt.Sprintf("| `%s` (body%s) | %s |\n", f.Name, required, inLine(p.note(f.Schema))))
	}
	if len(rows) > 0 {
		out.WriteString("| parameter | |\n|---|---|\n" + strings.Join(rows, "") + "\n")
	}
	out.WriteString("| response | |\n|---|---|\n")
	var shared []string
	for _, r := range o.Responses {
		if r.Shared {
			shared = append(shared, r.Status)
			continue
		}
		fmt.Fprintf(out, "| %s | %s |\n", r.Status, inLine(r.Description))
	}
	if len(shared) > 0 {
		fmt.Fprintf(out, "| %s | see [errors](#errors) |\n", strings.Join(shared, ", "))
	}
	out.WriteString("\n")
}

// writeErrors writes a table of the responses that operations share.
func (p page) writeErrors(out *strings.Builder) {
	var rows []string
	for _, g := range p.groups() {
		for _, o := range g.Operations {
			for _, r := range o.Responses {
				row := fmt.Sprintf("| %s | %s |\n", r.Status, inLine(r.Description))
				if r.Shared && !slices.Contains(rows, row) {
					rows = append(rows, row)
				}
			}
		}
	}
	slices.Sort(rows)
	out.WriteString("## Errors\n\nWhat operations may respond besides their own responses:\n\n| response | |\n|---|---|\n" + strings.Join(rows, "") + "\n")
}

// inLine makes a text fit into a table.
func inLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
