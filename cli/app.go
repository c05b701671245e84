package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newAppCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "app",
		Short: "Applications: your customers, who own endpoints and messages",
		Example: `  hookwheel app create "Acme Inc." --uid acme
  hookwheel app list
  hookwheel app update acme --rate 100 --metadata plan=gold
  hookwheel app delete acme`,
	}, func(r *resource) []*cobra.Command {
		shown := columns("ID id, UID uid, NAME name, RATE throttleRate, CREATED createdAt")
		settings := func() *fields {
			return new(fields).
				orNull("uid", "uid", "your own `id` for it, usable wherever its id is").
				limit("rate", "throttleRate", "maximum messages per second").
				limit("max-endpoints", "maxEndpoints", "maximum number of endpoints, instead of limits.endpoints").
				pairs("metadata", "metadata", "your own data, as `name=value`")
		}
		return []*cobra.Command{
			r.list(listing{use: "list", short: "List applications, oldest first", path: "/app", columns: shown,
				query: new(fields).text("search", "search", "only with this `text` in the name or uid"),
				example: `  hookwheel app list
  hookwheel app list --search acme
  hookwheel app list --limit 0 --json`}),
			r.command(operation{use: "create NAME", short: "Create an application",
				example: `  hookwheel app create "Acme Inc." --uid acme`,
				method:  http.MethodPost, path: "/app", body: settings(), columns: shown,
				arguments: func(_ *cobra.Command, args []string) (map[string]any, error) {
					return map[string]any{"name": args[0]}, nil
				}}),
			r.command(operation{use: "get APP", short: "Show an application", example: `  hookwheel app get acme`,
				method: http.MethodGet, path: "/app/%s", columns: shown}),
			r.command(operation{use: "update APP", short: "Update the fields given as flags",
				example: `  hookwheel app update acme --name "Acme Corp." --rate 100`,
				method:  http.MethodPatch, path: "/app/%s", columns: shown,
				body: settings().text("name", "name", "display `name`")}),
			r.command(operation{use: "delete APP", short: "Delete an application, its endpoints and messages",
				example: `  hookwheel app delete acme`,
				method:  http.MethodDelete, path: "/app/%s", done: "Application deleted."}),
		}
	})
}
