package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

// people is what the commands for the things of the API have in common: how to reach a node, and how to print.
type people struct {
	client
	asJSON bool
}

// newResourceCommand is the parent of the commands for one kind of thing.
func newResourceCommand(use, short, example string, children func(*people) []*cobra.Command) *cobra.Command {
	p := new(people)
	cmd := &cobra.Command{Use: use, Short: short, Example: example}
	p.addFlags(cmd)
	cmd.PersistentFlags().BoolVar(&p.asJSON, "json", false, "print JSON, as the API has it")
	cmd.AddCommand(children(p)...)
	return cmd
}

// column is a column of a table.
type column struct {
	title, path string   // of the value in an item
	words       []string // for the numbers from 0 on that the value may be; nil: it is shown as it is
}

// columns reads "ID id, NAME name".
func columns(text string) (list []column) {
	for item := range strings.SplitSeq(text, ", ") {
		i := strings.LastIndexByte(item, ' ')
		list = append(list, column{title: item[:i], path: item[i+1:]})
	}
	return list
}

// cell is what stands there of an item.
func (c *column) cell(item []byte) string {
	value := gjson.GetBytes(item, c.path)
	if number := value.Uint(); value.Type == gjson.Number && number < uint64(len(c.words)) {
		return c.words[number]
	}
	return cell(value)
}

// cell is a value as a table shows it.
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

// table prints items, which may be one.
func (p *people) table(out io.Writer, shown []column, items []json.RawMessage) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, c := range shown {
		fmt.Fprint(w, c.title, separator(i, shown))
	}
	for _, item := range items {
		for i, c := range shown {
			fmt.Fprint(w, c.cell(item), separator(i, shown))
		}
	}
	return w.Flush()
}

func separator(i int, shown []column) string {
	if i == len(shown)-1 {
		return "\n"
	}
	return "\t"
}

// do makes a request and prints the answer: as a table, or what done says if there is nothing to show.
func (p *people) do(cmd *cobra.Command, method, path string, in any, shown []column, done string) error {
	var answer json.RawMessage
	if method == http.MethodDelete || shown == nil {
		if err := p.call(cmd.Context(), method, path, in, nil); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), done)
		return err
	}
	if err := p.call(cmd.Context(), method, path, in, &answer); err != nil {
		return err
	}
	if p.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return p.table(cmd.OutOrStdout(), shown, []json.RawMessage{answer})
}

// newList is a command that lists things, page after page. path makes the path from the arguments.
func (p *people) newList(cmd *cobra.Command, query *fields, shown []column, path func(args []string) (string, error)) *cobra.Command {
	limit := 0
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := path(args)
		if err != nil {
			return err
		}
		items, err := p.pages(cmd, at, query.query(), limit)
		if err != nil {
			return err
		}
		if p.asJSON {
			return printJSON(cmd.OutOrStdout(), items)
		}
		return p.table(cmd.OutOrStdout(), shown, items)
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "how many to list; 0 for all")
	query.into(cmd)
	return cmd
}

const maxPage = 250

// pages reads a list up to a number of items; 0: all.
func (p *people) pages(cmd *cobra.Command, path string, query url.Values, limit int) (items []json.RawMessage, err error) {
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
		}
		if err := p.call(cmd.Context(), http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Data...)
		if page.Done || page.Iterator == "" || limit > 0 && len(items) >= limit {
			return items, nil
		}
		query.Set("iterator", page.Iterator)
	}
}

// fields turns flags into the fields of a body or the parameters of a query: those that are given, and no others.
type fields struct {
	flags []func(*cobra.Command)
	given []func() (name string, value any, is bool)
}

func field[T any](f *fields, flag, name, usage string, add func(cmd *cobra.Command, flag, usage string) *T, value func(T) any) *fields {
	var cmd *cobra.Command
	var target *T
	f.flags = append(f.flags, func(c *cobra.Command) { cmd, target = c, add(c, flag, usage) })
	f.given = append(f.given, func() (string, any, bool) { return name, value(*target), cmd.Flags().Changed(flag) })
	return f
}

func addString(cmd *cobra.Command, flag, usage string) *string {
	return cmd.Flags().String(flag, "", usage)
}

// text is a string.
func (f *fields) text(flag, name, usage string) *fields {
	return field(f, flag, name, usage, addString, func(s string) any { return s })
}

// orNull is a string; "" is null.
func (f *fields) orNull(flag, name, usage string) *fields {
	return field(f, flag, name, usage+`; "" takes it away`, addString, func(s string) any {
		if s == "" {
			return nil
		}
		return s
	})
}

// orNone is a word; "none" is null, as "" is.
func (f *fields) orNone(flag, name, usage string) *fields {
	return field(f, flag, name, usage, addString, func(s string) any {
		if s == "" || s == "none" {
			return nil
		}
		return s
	})
}

// list is a list of strings; "" is null.
func (f *fields) list(flag, name, usage string) *fields {
	return field(f, flag, name, usage, func(cmd *cobra.Command, flag, usage string) *[]string {
		return cmd.Flags().StringSlice(flag, nil, usage)
	}, func(list []string) any {
		if len(list) == 0 {
			return nil
		}
		return list
	})
}

// pairs is an object of strings.
func (f *fields) pairs(flag, name, usage string) *fields {
	return field(f, flag, name, usage, func(cmd *cobra.Command, flag, usage string) *map[string]string {
		return cmd.Flags().StringToString(flag, nil, usage)
	}, func(m map[string]string) any { return m })
}

// number is a whole number; 0 is null.
func (f *fields) number(flag, name, usage string) *fields {
	return field(f, flag, name, usage+"; 0 takes it away", func(cmd *cobra.Command, flag, usage string) *int {
		return cmd.Flags().Int(flag, 0, usage)
	}, func(n int) any {
		if n == 0 {
			return nil
		}
		return n
	})
}

// count is a whole number.
func (f *fields) count(flag, name, usage string) *fields {
	return field(f, flag, name, usage, func(cmd *cobra.Command, flag, usage string) *int {
		return cmd.Flags().Int(flag, 0, usage)
	}, func(n int) any { return n })
}

// flag is true or false.
func (f *fields) flag(flag, name, usage string) *fields {
	return field(f, flag, name, usage, func(cmd *cobra.Command, flag, usage string) *bool {
		return cmd.Flags().Bool(flag, false, usage)
	}, func(b bool) any { return b })
}

func (f *fields) into(cmd *cobra.Command) {
	for _, add := range f.flags {
		add(cmd)
	}
}

// body is what was given, beside other fields.
func (f *fields) body(others map[string]any) map[string]any {
	body := map[string]any{}
	for name, value := range others {
		body[name] = value
	}
	for _, give := range f.given {
		if name, value, is := give(); is {
			body[name] = value
		}
	}
	return body
}

func (f *fields) query() url.Values {
	query := url.Values{}
	for name, value := range f.body(nil) {
		switch value := value.(type) {
		case nil:
		case []string:
			query.Set(name, strings.Join(value, ","))
		default:
			query.Set(name, fmt.Sprint(value))
		}
	}
	return query
}

// apiPath puts words into a path, each as one part of it.
func apiPath(format string, words ...string) string {
	parts := make([]any, len(words))
	for i, word := range words {
		parts[i] = url.PathEscape(word)
	}
	return fmt.Sprintf(format, parts...)
}

// newDo is a command that makes one request. path and body take the arguments.
func (p *people) newDo(cmd *cobra.Command, args int, in *fields, method, path string, others func(args []string) (map[string]any, error),
	shown []column, done string) *cobra.Command {
	cmd.Args = cobra.ExactArgs(args)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at := apiPath(path, args[:strings.Count(path, "%s")]...)
		if in == nil {
			return p.do(cmd, method, at, nil, shown, done)
		}
		var fixed map[string]any
		if others != nil {
			var err error
			if fixed, err = others(args); err != nil {
				return err
			}
		}
		return p.do(cmd, method, at, in.body(fixed), shown, done)
	}
	if in != nil {
		in.into(cmd)
	}
	return cmd
}
