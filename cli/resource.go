package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

// resource is what the commands for one kind of object share: how to reach a node, how to print.
type resource struct {
	client
	asJSON bool
}

// newResourceCommand returns the parent of the commands for one kind of object.
func newResourceCommand(parent *cobra.Command, children func(*resource) []*cobra.Command) *cobra.Command {
	r := new(resource)
	r.addFlags(parent)
	parent.PersistentFlags().BoolVar(&r.asJSON, "json", false, "print the response as JSON")
	parent.AddCommand(children(r)...)
	return parent
}

// operation describes a command that sends one request.
type operation struct {
	use, short, long, example string

	method, path string  // path has a %s for each of the first arguments
	query        *fields // from flags
	body         *fields // from flags; nil: the request has no body
	arguments    func(cmd *cobra.Command, args []string) (map[string]any, error)

	// What is printed: the response as a table, one value of it, or only that it is done.
	columns []column
	with    withFlag
	value   string // path of the value
	done    string
}

// command returns the command of an operation. The words of o.use name its arguments.
func (r *resource) command(o operation) *cobra.Command {
	cmd := &cobra.Command{Use: o.use, Short: o.short, Long: o.long, Example: o.example}
	cmd.Args = cobra.ExactArgs(len(strings.Fields(o.use)) - 1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := apiPath(o.path, args[:strings.Count(o.path, "%s")]...)
		if query := o.query.query(); len(query) > 0 {
			path += "?" + query.Encode()
		}
		if o.body == nil {
			return r.run(cmd, &o, path, nil)
		}
		var fixed map[string]any
		if o.arguments != nil {
			var err error
			if fixed, err = o.arguments(cmd, args); err != nil {
				return err
			}
		}
		return r.run(cmd, &o, path, o.body.body(fixed))
	}
	o.query.addTo(cmd)
	o.body.addTo(cmd)
	return cmd
}

// run sends the request of an operation and prints the response.
func (r *resource) run(cmd *cobra.Command, o *operation, path string, in any) error {
	if o.done != "" {
		return r.client.done(cmd, o.method, path, in, o.done)
	}
	var response json.RawMessage
	if err := r.call(cmd.Context(), o.method, path, in, &response); err != nil {
		return err
	}
	switch {
	case r.asJSON:
		return printJSON(cmd.OutOrStdout(), response)
	case o.value != "":
		_, err := fmt.Fprintln(cmd.OutOrStdout(), printable(gjson.GetBytes(response, o.value).String()))
		return err
	default:
		return printTable(cmd.OutOrStdout(), o.with.columns(cmd, o.columns), []json.RawMessage{response})
	}
}

// listing describes a command that lists objects, page after page.
type listing struct {
	use, short, example string

	path    string
	pathOf  func(args []string) (string, error) // instead of path
	query   *fields
	columns []column
	with    withFlag
}

func (r *resource) list(l listing) *cobra.Command {
	cmd := &cobra.Command{Use: l.use, Short: l.short, Example: l.example}
	cmd.Args = cobra.ExactArgs(strings.Count(l.use, " ")) // each word behind the first
	var limit int
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path := apiPath(l.path, args[:strings.Count(l.path, "%s")]...)
		if l.pathOf != nil {
			var err error
			if path, err = l.pathOf(args); err != nil {
				return err
			}
		}
		items, gone, err := r.pages(cmd.Context(), path, l.query.query(), limit)
		if err != nil {
			return err
		}
		if gone != nil {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%d changes from before %s were removed to make room for newer ones\n", gone.Count, gone.Before.Format(time.RFC3339)); err != nil {
				return err
			}
		}
		if r.asJSON {
			return printJSON(cmd.OutOrStdout(), items)
		}
		return printTable(cmd.OutOrStdout(), l.with.columns(cmd, l.columns), items)
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "maximum `number` of items; 0 for all")
	l.query.addTo(cmd)
	return cmd
}

const maxPage = 250

// removed says what is missing in a list because it was removed early.
type removed struct {
	Count  int64
	Before time.Time
}

// pages reads a list up to a number of items; 0 means all.
func (c *client) pages(ctx context.Context, path string, query url.Values, limit int) (items []json.RawMessage, gone *removed, err error) {
	items = []json.RawMessage{}
	for {
		size := maxPage
		if limit > 0 {
			size = min(size, limit-len(items))
		}
		query.Set("limit", strconv.Itoa(size))
		var page struct {
			Data     []json.RawMessage
			Iterator string
			Done     bool
			Removed  *removed
		}
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, nil, err
		}
		items = append(items, page.Data...)
		if page.Done || page.Iterator == "" || limit > 0 && len(items) >= limit {
			return items, page.Removed, nil
		}
		query.Set("iterator", page.Iterator)
	}
}

// apiPath puts words into a path, each as one segment of it.
func apiPath(format string, words ...string) string {
	parts := make([]any, len(words))
	for i, word := range words {
		parts[i] = url.PathEscape(word)
	}
	return fmt.Sprintf(format, parts...)
}

// column is a column of a table.
type column struct {
	title, path string   // of the value in an item
	words       []string // for values that are numbers from 0 on; nil: the value is shown as is
}

// withFlag is the columns of a table that are shown instead of the usual ones if a flag is given.
type withFlag struct {
	flag    string // of type bool; "": there is none
	instead []column
}

func (w *withFlag) columns(cmd *cobra.Command, usual []column) []column {
	if w.flag == "" {
		return usual
	}
	if given, err := cmd.Flags().GetBool(w.flag); err != nil || !given {
		return usual
	}
	return w.instead
}

// columns parses "ID id, NAME name".
func columns(text string) (list []column) {
	for item := range strings.SplitSeq(text, ", ") {
		i := strings.LastIndexByte(item, ' ')
		list = append(list, column{title: item[:i], path: item[i+1:]})
	}
	return list
}

// cell returns the text for an item in this column.
func (c *column) cell(item []byte) string {
	value := gjson.GetBytes(item, c.path)
	if number := value.Uint(); value.Type == gjson.Number && number < uint64(len(c.words)) {
		return c.words[number]
	}
	return cell(value)
}

func cell(value gjson.Result) string {
	switch {
	case !value.Exists(), value.Type == gjson.Null:
		return "-"
	case value.IsArray():
		var words []string
		for _, item := range value.Array() {
			words = append(words, cell(item))
		}
		if len(words) == 0 {
			return "-"
		}
		return strings.Join(words, ",")
	case value.String() == "":
		return "-"
	default:
		return printable(strings.NewReplacer("\t", " ", "\n", " ").Replace(value.String()))
	}
}

func printTable(out io.Writer, columns []column, items []json.RawMessage) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(text func(c *column) string) {
		for i := range columns {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, text(&columns[i]))
		}
		fmt.Fprintln(w)
	}
	row(func(c *column) string { return c.title })
	for _, item := range items {
		row(func(c *column) string { return c.cell(item) })
	}
	return w.Flush()
}
