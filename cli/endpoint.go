package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newEndpointCommand() *cobra.Command {
	return newResourceCommand("endpoint", "Endpoints: URLs that get an application's messages",
		`  hookwheel endpoint create acme https://acme.example/hooks --uid billing --event-type invoice.paid
  hookwheel endpoint list acme
  hookwheel endpoint pause acme billing
  hookwheel endpoint resume acme billing --from now
  hookwheel endpoint replay acme billing --since 2026-01-31T12:00:00Z --status failed`,
		func(p *people) []*cobra.Command {
			const one = "/app/%s/endpoint/%s"
			shown := columns("ID id, UID uid, URL url, EVENT TYPES eventTypes, CHANNELS channels, RATE throttleRate, ORDERING ordering, STATE health.state")
			whole := columns("ID id, UID uid, URL url, EVENT TYPES eventTypes, CHANNELS channels, RATE throttleRate, ORDERING ordering, ON EXHAUSTED onExhausted, HEALTH health.text")
			none := func([]string) (map[string]any, error) { return nil, nil }
			return []*cobra.Command{
				p.newList(&cobra.Command{Use: "list APP", Short: "Endpoints of an application, the newest first", Args: cobra.ExactArgs(1)}, new(fields), shown,
					func(args []string) (string, error) { return apiPath("/app/%s/endpoint", args...), nil }),
				p.newDo(&cobra.Command{Use: "create APP URL", Short: "Create an endpoint"}, 2, endpointSettings(), http.MethodPost, "/app/%s/endpoint",
					func(args []string) (map[string]any, error) { return map[string]any{"url": args[1]}, nil }, whole, ""),
				p.newDo(&cobra.Command{Use: "get APP ENDPOINT", Short: "Show an endpoint, and how it fares"}, 2, nil, http.MethodGet, one, nil, whole, ""),
				p.newDo(&cobra.Command{Use: "update APP ENDPOINT", Short: "Change what the flags say, and nothing else"}, 2,
					endpointSettings().text("to", "url", "its new URL"), http.MethodPatch, one, nil, whole, ""),
				p.newDo(&cobra.Command{Use: "delete APP ENDPOINT", Short: "Delete an endpoint"}, 2, nil, http.MethodDelete, one, nil, nil, "The endpoint is gone."),
				p.newDo(&cobra.Command{Use: "secret APP ENDPOINT", Short: "Show the key that its receiver verifies with"}, 2, nil, http.MethodGet, one+"/secret", nil,
					columns("KEY key"), ""),
				p.newDo(&cobra.Command{Use: "rotate-secret APP ENDPOINT", Short: "Give it a new key; the one before signs, too, for 24 hours"}, 2,
					new(fields).count("grace", "gracePeriodSeconds", "seconds for which the key before signs, too"), http.MethodPost, one+"/secret/rotate", none, columns("KEY key"), ""),
				p.newDo(&cobra.Command{Use: "pause APP ENDPOINT", Short: "Send nothing more; what comes waits in the log"}, 2, new(fields), http.MethodPost, one+"/pause", none, whole, ""),
				p.newDo(&cobra.Command{Use: "resume APP ENDPOINT", Short: "Go on", Example: `  hookwheel endpoint resume acme billing            # all that waits, the oldest first
  hookwheel endpoint resume acme billing --from now # nothing of what waits`}, 2,
					new(fields).text("from", "from", "cursor (all that waits), now (nothing of it), or a time such as 2026-01-31T12:00:00Z"), http.MethodPost, one+"/resume", none, whole, ""),
				p.newDo(&cobra.Command{Use: "replay APP ENDPOINT", Short: "Send messages of the past again, as a task",
					Example: `  hookwheel endpoint replay acme billing --since 2026-01-31T12:00:00Z --status failed --rate 50`}, 2,
					new(fields).text("since", "since", "from this time on, such as 2026-01-31T12:00:00Z; must be given").text("until", "until", "up to this time (default now)").
						text("status", "status", "which: all (default), failed, delivered or never-attempted").list("event-type", "eventTypes", "only these").
						text("channel", "channel", "only those with it").text("tag", "tag", "only those with it").count("rate", "rate", "messages per second (default as fast as it takes them)"),
					http.MethodPost, one+"/bulk-replay", none, taskColumns, ""),
			}
		})
}

func endpointSettings() *fields {
	return new(fields).orNull("uid", "uid", "your own name for it, usable wherever its id is").
		text("description", "description", "for people").
		list("event-type", "eventTypes", `only messages of these; "" for all`).
		list("channel", "channels", `only messages with one of these; "" for all`).
		number("rate", "throttleRate", "messages per second at most").
		flag("disabled", "disabled", "send nothing; --disabled=false enables it").
		pairs("metadata", "metadata", "notes, as name=value").
		text("signature", "signatureStyle", "standard, github, stripe or hex").
		flag("envelope", "envelope", "send the payload within an envelope").
		orNone("ordering", "ordering", "endpoint: one message after the other; key: the same per ordering key; none").
		text("on-exhausted", "onExhausted", "skip or block, after the last attempt at an ordered message")
}
