package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newEventTypeCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "event-type",
		Short: "Event types: what endpoints can subscribe to",
		Example: `  hookwheel event-type create invoice.paid "An invoice was paid in full."
  hookwheel event-type list
  hookwheel event-type update invoice.paid --deprecated
  hookwheel event-type delete invoice.paid`,
	}, func(r *resource) []*cobra.Command {
		const one = "/event-type/%s"
		shown := columns("NAME name, GROUP groupName, ARCHIVED archived, DEPRECATED deprecated, DESCRIPTION description")
		settings := func() *fields {
			return new(fields).
				orNull("group", "groupName", "`group` that it is shown in").
				flag("archived", "archived", "endpoints can no longer subscribe to it").
				flag("deprecated", "deprecated", "endpoints should no longer subscribe to it").
				list("feature-flag", "featureFlags", "only portals with one of these `flags` show it")
		}
		remove := r.command(operation{use: "delete EVENT_TYPE", short: "Archive an event type, or delete it for good",
			example: `  hookwheel event-type delete invoice.paid
  hookwheel event-type delete invoice.paid --expunge`,
			method: http.MethodDelete, path: one, done: "Event type archived."})
		expunge := remove.Flags().Bool("expunge", false, "delete it for good instead of archiving it")
		archive := remove.RunE
		remove.RunE = func(cmd *cobra.Command, args []string) error {
			if !*expunge {
				return archive(cmd, args)
			}
			return r.client.done(cmd, http.MethodDelete, apiPath(one, args...)+"?expunge=true", nil, "Event type deleted.")
		}
		return []*cobra.Command{
			r.list(listing{use: "list", short: "List event types by name", path: "/event-type", columns: shown,
				example: `  hookwheel event-type list
  hookwheel event-type list --archived`,
				query: new(fields).flag("archived", "include_archived", "archived ones, too")}),
			r.command(operation{use: "create NAME DESCRIPTION", short: "Create an event type",
				example: `  hookwheel event-type create invoice.paid "An invoice was paid in full."`,
				method:  http.MethodPost, path: "/event-type", body: settings(), columns: shown,
				arguments: func(_ *cobra.Command, args []string) (map[string]any, error) {
					return map[string]any{"name": args[0], "description": args[1]}, nil
				}}),
			r.command(operation{use: "get EVENT_TYPE", short: "Show an event type",
				example: `  hookwheel event-type get invoice.paid`,
				method:  http.MethodGet, path: one, columns: shown}),
			r.command(operation{use: "update EVENT_TYPE", short: "Update the fields given as flags",
				example: `  hookwheel event-type update invoice.paid --deprecated`,
				method:  http.MethodPatch, path: one, columns: shown,
				body: settings().text("description", "description", "what it means")}),
			remove,
			newEventTypeImport(r),
		}
	})
}
