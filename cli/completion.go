package cli

import (
	"context"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

const (
	completionTimeout = 2 * time.Second // a shell waits
	maxCompletions    = 1000
)

// catalog is a list of objects whose names a shell can complete. Its path may have a %s, for the
// application.
type catalog struct {
	path  string
	names []string // fields of an object: the first one that has a value is its name
	about string   // field with a description
}

// catalogs has the lists behind the arguments of commands.
var catalogs = map[string]catalog{
	"APP":        {"/app", []string{"uid", "id"}, "name"},
	"ENDPOINT":   {"/app/%s/endpoint", []string{"uid", "id"}, "url"},
	"EVENT_TYPE": {"/event-type", []string{"name"}, "description"},
	"TASK":       {"/background-task", []string{"id"}, "task"},
	"KEY":        {"/key", []string{"id"}, "name"},
}

// flagCatalogs maps flags to the arguments whose completions they share.
var flagCatalogs = map[string]string{"app": "APP", "endpoint": "ENDPOINT", "event-type": "EVENT_TYPE"}

// addCompletion completes the names of objects of the API, in arguments and flags.
func addCompletion(cmd *cobra.Command) {
	arguments := strings.Fields(cmd.Use)[1:]
	if slices.ContainsFunc(arguments, func(name string) bool { return catalogs[name].path != "" }) {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) >= len(arguments) {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return complete(cmd, arguments[len(args)], args, prefix)
		}
	}
	for flag, argument := range flagCatalogs {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return complete(cmd, argument, args, prefix)
		})
		if err != nil {
			panic(err) // the flag is there, and this is its only function
		}
	}
}

// safeName matches what every shell takes for a word, and no command for a flag.
var safeName = regexp.MustCompile(`^[A-Za-z0-9._:+][A-Za-z0-9._:+-]*$`)

// complete asks a node for the names that begin with a prefix. Errors are ignored, as a shell that
// completes a word can't show them.
func complete(cmd *cobra.Command, argument string, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, known := catalogs[argument]
	if !known {
		return nil, cobra.ShellCompDirectiveDefault
	}
	path := c.path
	if strings.Contains(path, "%s") {
		app, _ := cmd.Flags().GetString("app")
		if len(args) > 0 {
			app = args[0]
		}
		path = apiPath(path, app)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	var found []cobra.Completion
	items, _, err := clientOf(cmd).pages(ctx, path, url.Values{}, maxCompletions)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, item := range items {
		for _, field := range c.names {
			name := gjson.GetBytes(item, field).String()
			if strings.HasPrefix(name, prefix) && safeName.MatchString(name) {
				about := printable(gjson.GetBytes(item, c.about).String())
				found = append(found, cobra.CompletionWithDesc(name, about))
				break
			}
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// clientOf returns a client as the flags of cmd say.
func clientOf(cmd *cobra.Command) *client {
	c := new(client)
	flags := cmd.Flags() // a flag that is missing or malformed leaves the zero value
	c.urls, _ = flags.GetStringSlice("url")
	c.token, _ = flags.GetString("token")
	c.ca, _ = flags.GetString("ca")
	return c
}
