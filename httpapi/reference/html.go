package reference

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"strings"

	"github.com/yuin/goldmark"
)

//go:embed page.css
var style string

// html returns the page. It is written by hand because package html/template would keep the linker
// from leaving out methods that nothing calls, a fifth of the program.
func (p page) html() ([]byte, error) {
	w := &htmlWriter{page: p}
	w.write("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n")
	w.write("<title>%s API</title>\n<style>\n", text(p.title()))
	w.out.WriteString(style)
	w.write("</style>\n")
	groups := p.groups()
	w.navigation(groups)
	w.write("<main>\n<h1>%s API</h1>\n", text(p.title()))
	w.markdown(p.description())
	for _, g := range groups {
		if len(g.Operations) > 0 {
			w.group(g)
		}
	}
	w.write("<section>\n<h2>Objects</h2>\n<p>What is marked <code class=\"must\">so</code> is always there.</p>\n")
	for _, schema := range p.schemas() {
		w.write("<article id=\"%s\">\n<h3>%s</h3>\n", anchor(schema.Name), text(schema.Name))
		w.markdown(p.note(schema.Value.(object)))
		w.fields(schema.Value.(object))
		w.write("</article>\n")
	}
	w.write("</section>\n</main>\n")
	return w.out.Bytes(), w.err
}

// text returns a string as HTML.
func text(s string) string { return html.EscapeString(s) }

// anchor returns the name of a heading of the page in links, which needs no escaping.
func anchor(name string) string { return text(strings.ReplaceAll(strings.ToLower(name), " ", "-")) }

// htmlWriter writes the parts of a page.
type htmlWriter struct {
	page
	out bytes.Buffer
	err error // of markdown
}

// write writes HTML; what it is given must be HTML, too.
func (w *htmlWriter) write(format string, args ...any) { fmt.Fprintf(&w.out, format, args...) }

// markdown writes the text of a description.
func (w *htmlWriter) markdown(source string) {
	if err := goldmark.Convert([]byte(source), &w.out); err != nil && w.err == nil {
		w.err = err
	}
}

func (w *htmlWriter) navigation(groups []group) {
	w.write("<nav>\n<h1>%s</h1>\n<a href=\"/api/v1/openapi.json\">OpenAPI document</a>\n", text(w.title()))
	for _, g := range groups {
		if len(g.Operations) == 0 {
			continue
		}
		w.write("<h2>%s</h2>\n", text(g.Name))
		for _, o := range g.Operations {
			w.write("<a href=\"#%s\">%s</a>\n", anchor(o.ID), text(o.Summary))
		}
	}
	w.write("<h2>Objects</h2>\n")
	for _, schema := range w.schemas() {
		w.write("<a href=\"#%s\">%s</a>\n", anchor(schema.Name), text(schema.Name))
	}
	w.write("</nav>\n")
}

func (w *htmlWriter) group(g group) {
	w.write("<section>\n<h2>%s</h2>\n", text(g.Name))
	w.markdown(g.Description)
	for _, o := range g.Operations {
		w.operation(o)
	}
	w.write("</section>\n")
}

func (w *htmlWriter) operation(o operation) {
	w.write("<article id=\"%s\">\n<h3>%s</h3>\n", anchor(o.ID), text(o.Summary))
	w.write("<div class=\"path\"><b class=\"%[1]s\">%[1]s</b>%[2]s</div>\n", text(o.Method), text(o.Path))
	who := "For everybody: it takes no token."
	if len(o.Roles) > 0 {
		who = "For " + text(strings.Join(o.Roles, ", ")) + "."
	}
	w.write("<p class=\"who\">%s</p>\n", who)
	w.markdown(o.Description)
	w.parameters(o.Parameters)
	if o.Body != nil {
		w.write("<h4>Body: %s</h4>\n", w.typeOf(o.Body))
		w.fields(o.Body)
		w.sample(o.Body)
	}
	w.write("<h4>Responses</h4>\n<table class=\"responses\">\n")
	for _, r := range o.Responses {
		w.write("<tr><td><code>%s</code>", text(r.Status))
		if r.Schema != nil {
			w.write(" %s", w.typeOf(r.Schema))
		}
		w.write("</td><td>")
		w.markdown(r.Description)
		if r.Schema != nil && r.Status < "3" {
			w.sample(r.Schema)
		}
		w.write("</td></tr>\n")
	}
	w.write("</table>\n</article>\n")
}

func (w *htmlWriter) parameters(list []object) {
	if len(list) == 0 {
		return
	}
	w.write("<h4>Parameters</h4>\n<table>\n")
	for _, parameter := range list {
		class := ""
		if parameter.Text("in") == "path" {
			class = " class=\"must\""
		}
		w.write("<tr><td><code%s>%s</code></td><td>%s, %s</td><td>", class, text(parameter.Text("name")),
			text(parameter.Text("in")), w.typeOf(parameter.Object("schema")))
		w.markdown(w.note(parameter))
		w.write("</td></tr>\n")
	}
	w.write("</table>\n")
}

func (w *htmlWriter) fields(schema object) {
	w.write("<table>\n")
	for _, f := range w.page.fields(schema) {
		class := ""
		if f.Required {
			class = "must"
		}
		if f.Deprecated {
			class += " old"
		}
		w.write("<tr><td><code class=\"%s\">%s</code></td><td>%s</td><td>", class, text(f.Name), w.typeOf(f.Schema))
		w.markdown(w.note(f.Schema))
		w.write("</td></tr>\n")
	}
	w.write("</table>\n")
}

func (w *htmlWriter) sample(schema object) {
	w.write("<details><summary>Example</summary><pre>%s</pre></details>\n", text(w.example(schema)))
}
