package cli

import "github.com/spf13/cobra"

func newAuditCommand() *cobra.Command {
	r := new(resource)
	query := new(fields).
		text("actor", "actor", "only changes by this `actor`: a key's id, or configuration, key, jwt or cluster").
		list("change", "change", "only changes of this `kind`, such as endpoint.updated").
		text("app", "app", "only changes of this `application`, by id or uid").
		text("after", "after", "only changes after this `time`, such as 2026-01-31T12:00:00Z").
		text("before", "before", "only changes before this `time`")
	cmd := r.list(listing{use: "audit", short: "List who changed what in the last week, newest first",
		example: "  hookwheel audit\n  hookwheel audit --actor key_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5\n  hookwheel audit --app acme --change endpoint.updated,endpoint.deleted",
		path:    "/audit", query: query,
		columns: columns("TIME timestamp, CHANGE change, BY actor.type, KEY actor.keyId, NAME actor.name, SESSION actor.sessionId, " +
			"APPLICATION appId, ENDPOINT endpointId, OBJECT [taskId,keyId,eventType,messageId,member].#(>\"\")")})
	r.addFlags(cmd)
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print the response as JSON")
	return cmd
}
