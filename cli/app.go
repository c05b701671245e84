package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newAppCommand() *cobra.Command {
	return newResourceCommand("app", "Applications: your customers, who own endpoints and messages",
		`  hookwheel app create "Acme Inc." --uid acme
  hookwheel app list
  hookwheel app update acme --rate 100 --metadata plan=gold
  hookwheel app delete acme`,
		func(p *people) []*cobra.Command {
			shown := columns("ID id, UID uid, NAME name, RATE throttleRate, CREATED createdAt")
			settings := func() *fields {
				return new(fields).orNull("uid", "uid", "your own name for it, usable wherever its id is").
					number("rate", "throttleRate", "messages per second at most").
					number("max-endpoints", "maxEndpoints", "how many endpoints it may have, instead of limits.endpoints of the configuration").
					pairs("metadata", "metadata", "notes, as name=value")
			}
			return []*cobra.Command{
				p.newList(&cobra.Command{Use: "list", Short: "Applications, the oldest first", Args: cobra.NoArgs}, new(fields), shown,
					func([]string) (string, error) { return "/app", nil }),
				p.newDo(&cobra.Command{Use: "create NAME", Short: "Create an application", Example: `  hookwheel app create "Acme Inc." --uid acme`},
					1, settings(), http.MethodPost, "/app", func(args []string) (map[string]any, error) { return map[string]any{"name": args[0]}, nil }, shown, ""),
				p.newDo(&cobra.Command{Use: "get APP", Short: "Show an application"}, 1, nil, http.MethodGet, "/app/%s", nil, shown, ""),
				p.newDo(&cobra.Command{Use: "update APP", Short: "Change what the flags say, and nothing else"},
					1, settings().text("name", "name", "its name for people"), http.MethodPatch, "/app/%s", nil, shown, ""),
				p.newDo(&cobra.Command{Use: "delete APP", Short: "Delete an application with its endpoints and messages"},
					1, nil, http.MethodDelete, "/app/%s", nil, nil, "The application is gone."),
			}
		})
}
