package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newEventTypeCommand() *cobra.Command {
	return newResourceCommand("event-type", "Event types: what endpoints can choose from",
		`  hookwheel event-type create invoice.paid "An invoice was paid in full."
  hookwheel event-type list
  hookwheel event-type update invoice.paid --deprecated
  hookwheel event-type delete invoice.paid`,
		func(p *people) []*cobra.Command {
			shown := columns("NAME name, GROUP groupName, ARCHIVED archived, DEPRECATED deprecated, DESCRIPTION description")
			settings := func() *fields {
				return new(fields).orNull("group", "groupName", "those of one group are shown together").flag("archived", "archived", "endpoints can't choose it any more").
					flag("deprecated", "deprecated", "endpoints had better not choose it").list("feature-flag", "featureFlags", "only portals with one of these see it")
			}
			expunge := false
			remove := &cobra.Command{Use: "delete NAME", Short: "Archive an event type, or forget it", Args: cobra.ExactArgs(1),
				RunE: func(cmd *cobra.Command, args []string) error {
					if expunge {
						return p.do(cmd, http.MethodDelete, apiPath("/event-type/%s", args...)+"?expunge=true", nil, nil, "The event type is forgotten.")
					}
					return p.do(cmd, http.MethodDelete, apiPath("/event-type/%s", args...), nil, nil, "The event type is archived.")
				}}
			remove.Flags().BoolVar(&expunge, "expunge", false, "forget it, instead of archiving it")
			return []*cobra.Command{
				p.newList(&cobra.Command{Use: "list", Short: "Event types by name", Args: cobra.NoArgs}, new(fields).flag("archived", "include_archived", "archived ones, too"), shown,
					func([]string) (string, error) { return "/event-type", nil }),
				p.newDo(&cobra.Command{Use: "create NAME DESCRIPTION", Short: "Create an event type"}, 2, settings(), http.MethodPost, "/event-type",
					func(args []string) (map[string]any, error) {
						return map[string]any{"name": args[0], "description": args[1]}, nil
					}, shown, ""),
				p.newDo(&cobra.Command{Use: "get NAME", Short: "Show an event type"}, 1, nil, http.MethodGet, "/event-type/%s", nil, shown, ""),
				p.newDo(&cobra.Command{Use: "update NAME", Short: "Change what the flags say, and nothing else"}, 1,
					settings().text("description", "description", "for people"), http.MethodPatch, "/event-type/%s", nil, shown, ""),
				remove,
			}
		})
}
