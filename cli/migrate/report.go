package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Kind is a kind of object.
type Kind string

// The kinds, in the order in which they are copied.
const (
	KindEventType   Kind = "event type"
	KindApplication Kind = "application"
	KindEndpoint    Kind = "endpoint"
)

// Result is what an import did with an object, or would do.
type Result string

// The results.
const (
	Copied    Result = "copied"
	Updated   Result = "updated"
	Unchanged Result = "unchanged"
	Differs   Result = "differs" // the node has another state of it, which stays
	Skipped   Result = "skipped"
)

var (
	kinds   = []Kind{KindEventType, KindApplication, KindEndpoint}
	results = []Result{Copied, Updated, Unchanged, Differs, Skipped}
)

// Item is an object in a report.
type Item struct {
	Kind        Kind     `json:"kind"`
	Result      Result   `json:"result"`
	SourceID    string   `json:"sourceId,omitempty"`    // of event types: the name
	Application string   `json:"application,omitempty"` // of an endpoint: the uid
	UID         string   `json:"uid,omitempty"`
	ID          string   `json:"id,omitempty"` // at the node
	Name        string   `json:"name,omitempty"`
	Why         string   `json:"why,omitempty"` // it was skipped
	Differs     []string `json:"differs,omitempty"`
	Notes       []string `json:"notes,omitempty"` // what is not as it was at the source
}

// Counts are numbers of objects by kind and result.
type Counts map[Kind]map[Result]int

func (c Counts) total(result Result) (n int) {
	for _, kind := range kinds {
		n += c[kind][result]
	}
	return n
}

// maxShown is how many items a report keeps for Print; a file has them all.
const maxShown = 100

// Report collects what an import has done. Items go straight to a file, if there is one, so that
// memory does not grow with them, and the file has what was done if the process is killed.
type Report struct {
	Counts Counts
	DryRun bool
	file   io.Writer
	items  int
	shown  []Item // that a user should look at
	more   int    // of these that are not in shown
	err    error
}

// NewReport returns a report that is also written to file as JSON, unless that is nil.
func NewReport(source, url string, dryRun bool, file io.Writer) (*Report, error) {
	r := &Report{Counts: make(Counts), DryRun: dryRun, file: file}
	for _, kind := range kinds {
		r.Counts[kind] = make(map[Result]int)
	}
	head, err := json.Marshal(map[string]any{"source": source, "url": url, "dryRun": dryRun, "startedAt": time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return nil, err
	}
	r.write(strings.TrimSuffix(string(head), "}") + `,"items":[`)
	return r, r.err
}

func (r *Report) write(text string) {
	if r.file != nil && r.err == nil {
		if _, err := io.WriteString(r.file, text); err != nil {
			r.err = fmt.Errorf("writing the report: %w", err)
		}
	}
}

// add records an item. An error means that the report can't be written, so the import must end.
func (r *Report) add(item Item) error {
	item.Name, item.Why, item.SourceID = short(item.Name), short(item.Why), short(item.SourceID)
	r.Counts[item.Kind][item.Result]++
	if item.Result == Skipped || item.Result == Differs || len(item.Notes) > 0 {
		if len(r.shown) < maxShown {
			r.shown = append(r.shown, item)
		} else {
			r.more++
		}
	}
	text, err := json.Marshal(item)
	if err != nil {
		return err
	}
	separator := "\n"
	if r.items > 0 {
		separator = ",\n"
	}
	r.items++
	r.write(separator + string(text))
	return r.err
}

// Finish ends the file. cause is why the import ended early, or nil.
func (r *Report) Finish(cause error) error {
	tail := map[string]any{"counts": r.Counts, "complete": cause == nil, "finishedAt": time.Now().UTC().Truncate(time.Second)}
	if cause != nil {
		tail["error"] = cause.Error()
	}
	text, err := json.Marshal(tail)
	r.write("],\n" + strings.TrimPrefix(string(text), "{") + "\n")
	return errors.Join(err, r.err)
}

// Print writes a summary, and the items that need a look.
func (r *Report) Print(to io.Writer, cause error) {
	if r.DryRun {
		fmt.Fprintln(to, "Dry run: nothing was changed. This is what an import would do:")
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for _, result := range results {
		fmt.Fprint(w, strings.ToUpper(string(result)), "\t")
	}
	fmt.Fprintln(w)
	for _, kind := range kinds {
		fmt.Fprint(w, kind, "s\t")
		for _, result := range results {
			fmt.Fprint(w, r.Counts[kind][result], "\t")
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	for i := range r.shown {
		r.shown[i].print(to)
	}
	if r.more > 0 {
		fmt.Fprintf(to, "and %d more; --report FILE writes them all\n", r.more)
	}
	switch {
	case cause != nil:
		fmt.Fprintln(to, "INCOMPLETE: the import ended early; run it again to continue.")
	case r.DryRun:
	case r.Counts.total(Copied)+r.Counts.total(Updated) == 0:
		fmt.Fprintln(to, "Nothing was changed.")
	}
	if r.Counts.total(Differs) > 0 {
		fmt.Fprintln(to, "What differs was left as it is; --update changes it to what the source has.")
	}
}

func (i *Item) print(to io.Writer) {
	name := oneLine(i.SourceID)
	if i.UID != "" && i.UID != i.SourceID {
		name = oneLine(i.UID) + " (" + name + ")"
	}
	if i.Application != "" {
		name += " of " + oneLine(i.Application)
	}
	fmt.Fprintf(to, "%s %s: %s", i.Kind, name, i.Result)
	if i.Why != "" {
		fmt.Fprint(to, ": ", oneLine(i.Why))
	}
	if len(i.Differs) > 0 {
		fmt.Fprint(to, " in ", strings.Join(i.Differs, ", "))
	}
	fmt.Fprintln(to)
	for _, note := range i.Notes {
		fmt.Fprintln(to, "  note:", oneLine(note))
	}
}

// oneLine keeps what others chose from looking like further lines.
func oneLine(text string) string {
	return strings.NewReplacer("\n", " ", "\r", " ", "\t", " ").Replace(text)
}

// Skipped returns how many objects were not copied.
func (r *Report) Skipped() int { return r.Counts.total(Skipped) }
