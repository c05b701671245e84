package cli

import (
	"net/http"

	"github.com/spf13/cobra"
)

func newEndpointCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "endpoint",
		Short: "Endpoints: URLs that receive an application's messages",
		Example: `  hookwheel endpoint create acme https://acme.example/hooks --uid billing
  hookwheel endpoint list acme
  hookwheel endpoint pause acme billing
  hookwheel endpoint resume acme billing --from now
  hookwheel endpoint replay acme billing --since 3d --status failed`,
	}, func(r *resource) []*cobra.Command {
		return append(r.endpointObjects(), r.endpointActions()...)
	})
}

const oneEndpoint = "/app/%s/endpoint/%s"

var endpointColumns = columns("ID id, UID uid, URL url, EVENT TYPES eventTypes, CHANNELS channels, " +
	"RATE throttleRate, ORDERING ordering, ON EXHAUSTED onExhausted, HEALTH health.text")

var testColumns = columns("STATUS statusText, CODE responseStatusCode, MS responseDurationMs, PEER trace.peer, TLS trace.tlsVersion, RESPONSE response")

// endpointObjects are the commands that create, show, change and delete endpoints.
func (r *resource) endpointObjects() []*cobra.Command {
	return []*cobra.Command{
		r.list(listing{use: "list APP", short: "List the endpoints of an application, newest first",
			example: `  hookwheel endpoint list acme`, path: "/app/%s/endpoint",
			columns: columns("ID id, UID uid, URL url, EVENT TYPES eventTypes, CHANNELS channels, " +
				"RATE throttleRate, ORDERING ordering, STATE health.state")}),
		r.command(operation{use: "create APP URL", short: "Create an endpoint",
			example: `  hookwheel endpoint create acme https://acme.example/hooks \
      --uid billing --event-type invoice.paid
  hookwheel endpoint create acme http://127.0.0.1:9000/ --signature github \
      --secret "$GITHUB_WEBHOOK_SECRET" --header X-Tenant=acme`,
			method: http.MethodPost, path: "/app/%s/endpoint", columns: endpointColumns,
			body: endpointSettings().
				text("secret", "secret", "signing `secret` (default: a new one); with --signature github, stripe or hex any text").
				pairs("header", "headers", "header to send along, as `name=value`"),
			arguments: func(_ *cobra.Command, args []string) (map[string]any, error) {
				return map[string]any{"url": args[1]}, nil
			}}),
		r.command(operation{use: "get APP ENDPOINT", short: "Show an endpoint and its health",
			example: `  hookwheel endpoint get acme billing`,
			method:  http.MethodGet, path: oneEndpoint, columns: endpointColumns}),
		r.command(operation{use: "stats APP ENDPOINT", short: "Count its attempts by result",
			example: `  hookwheel endpoint stats acme billing --since 1d`,
			method:  http.MethodGet, path: oneEndpoint + "/stats",
			columns: columns("SUCCEEDED success, FAILED fail, CANCELED canceled, WAITING pending, BEING SENT sending"),
			query: new(fields).
				time("since", "since", "attempts from this `time` on, such as "+timeExamples+" (default 28 days ago)", timeFlag{}).
				time("until", "until", "attempts up to this `time` (default now)", timeFlag{})}),
		r.command(operation{use: "update APP ENDPOINT", short: "Update the fields given as flags",
			example: `  hookwheel endpoint update acme billing --to https://acme.example/new
  hookwheel endpoint update acme billing --ordering key --rate 50`,
			method: http.MethodPatch, path: oneEndpoint, columns: endpointColumns,
			body: endpointSettings().text("to", "url", "new `URL`")}),
		r.command(operation{use: "delete APP ENDPOINT", short: "Delete an endpoint",
			example: `  hookwheel endpoint delete acme billing`,
			method:  http.MethodDelete, path: oneEndpoint, done: "Endpoint deleted."}),
		r.command(operation{use: "secret APP ENDPOINT", short: "Print the secret that the receiver verifies with",
			example: `  hookwheel endpoint secret acme billing
  hookwheel listen --secret "$(hookwheel endpoint secret acme billing)"`,
			method: http.MethodGet, path: oneEndpoint + "/secret", value: "key"}),
		r.command(operation{use: "rotate-secret APP ENDPOINT", short: "Rotate the signing secret",
			long: `Rotate the signing secret and print the new one. The old one stays valid for 24
hours, or for --grace: requests are signed with both.`,
			example: `  hookwheel endpoint rotate-secret acme billing
  hookwheel endpoint rotate-secret acme billing --grace 3600`,
			method: http.MethodPost, path: oneEndpoint + "/secret/rotate", value: "key",
			body: new(fields).count("grace", "gracePeriodSeconds", "`seconds` that the old secret stays valid")}),
	}
}

// endpointActions are the commands that say what is sent to an endpoint.
func (r *resource) endpointActions() []*cobra.Command {
	return []*cobra.Command{
		r.command(operation{use: "pause APP ENDPOINT", short: "Stop delivery; new messages wait",
			example: `  hookwheel endpoint pause acme billing`,
			method:  http.MethodPost, path: oneEndpoint + "/pause", body: new(fields), columns: endpointColumns}),
		r.command(operation{use: "test APP URL", short: "Send an example to a URL before saving an endpoint",
			long: `Send an example to a URL that is not yet an endpoint, and show the response.
Nothing is kept.`,
			example: `  hookwheel endpoint test acme https://acme.example/hooks
  hookwheel endpoint test acme https://acme.example/hooks \
      --event-type invoice.paid`,
			method: http.MethodPost, path: "/app/%s/msg/test-attempt", columns: testColumns,
			body: new(fields).
				text("event-type", "eventType", "send an example of this event `type` (default svix.ping)").
				text("secret", "secret", "signing `secret` (default: a new one)").
				pairs("header", "headers", "header to send along, as `name=value`").
				flag("tls-verify", "tlsVerify", "verify the certificate, the default").
				choice("signature", "signatureStyle", "signature `style`: standard, github, stripe or hex",
					sameWords("standard", "github", "stripe", "hex")).
				flag("envelope", "envelope", "send the payload in an envelope with id, type and time"),
			arguments: func(_ *cobra.Command, args []string) (map[string]any, error) {
				return map[string]any{"url": args[1]}, nil
			}}),
		r.command(operation{use: "resume APP ENDPOINT", short: "Resume delivery",
			long: `Resume delivery to an endpoint that is paused or parked, or choose what one that
is disabled gets once "hookwheel endpoint update --disabled=false" enables it.`,
			example: `  hookwheel endpoint resume acme billing
  hookwheel endpoint resume acme billing --from now
  hookwheel endpoint resume acme billing --from 1h`,
			method: http.MethodPost, path: oneEndpoint + "/resume", columns: endpointColumns,
			body: new(fields).time("from", "from", "what to deliver: cursor (everything that waits, the default), now (none of it), or messages since a `time` such as "+timeExamples,
				timeFlag{other: isWord("cursor", "now")})}),
		r.command(operation{use: "replay APP ENDPOINT", short: "Send past messages again, as a background task",
			example: `  hookwheel endpoint replay acme billing --since 3d --status failed --dry-run
  hookwheel endpoint replay acme billing --since 3d --status failed --rate 50
  hookwheel endpoint replay acme billing --since 2026-01-31 --until 2026-02-01`,
			method: http.MethodPost, path: oneEndpoint + "/bulk-replay", columns: taskColumns,
			with: withFlag{"dry-run", columns("TOTAL total, EXACT exact, LOOKED looked, SINCE since, COUNTED UP TO position")},
			body: new(fields).
				time("since", "since", "messages from this `time` on, such as "+timeExamples+" (required)", timeFlag{}).
				time("until", "until", "messages up to this `time` (default now)", timeFlag{}).
				choice("status", "status", "which messages: all (default), failed, delivered or never-attempted",
					sameWords("all", "failed", "delivered", "never-attempted")).
				list("event-type", "eventTypes", "only messages of these event `types`").
				text("channel", "channel", "only messages with this `channel`").
				text("tag", "tag", "only messages with this `tag`").
				count("rate", "rate", "maximum messages per second (default: what the endpoint accepts)").
				flag("dry-run", "dryRun", "only count the messages; send nothing")}),
	}
}

func endpointSettings() *fields {
	return new(fields).
		orNull("uid", "uid", "your own `id` for it, usable wherever its id is").
		text("description", "description", "what it is for").
		list("event-type", "eventTypes", `only messages of these event `+"`types`"+`; "" for all`).
		list("channel", "channels", "only messages with one of these `channels`; \"\" for all").
		limit("rate", "throttleRate", "maximum messages per second").
		flag("tls-verify", "tlsVerify", "verify the endpoint's certificate, the default").
		flag("disabled", "disabled", "stop delivery; --disabled=false enables it").
		pairs("metadata", "metadata", "your own data, as `name=value`").
		choice("signature", "signatureStyle", "signature `style`: standard, github, stripe or hex",
			sameWords("standard", "github", "stripe", "hex")).
		flag("envelope", "envelope", "send the payload in an envelope with id, type and time").
		choice("ordering", "ordering", "send one message at a time: `scope` endpoint, key (per ordering key) or none",
			map[string]any{"endpoint": "endpoint", "key": "key", "none": nil, "": nil}).
		choice("on-exhausted", "onExhausted", "after the last attempt at an ordered message: skip it or block",
			sameWords("skip", "block"))
}
