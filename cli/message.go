package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

func newMessageCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "message",
		Short: "Messages: send them, and see what became of them",
		Example: `  hookwheel message send acme invoice.paid '{"invoice": 815}' --id invoice-815
  hookwheel message send acme invoice.paid @invoice.json
  hookwheel message explain acme invoice-815
  hookwheel message resend acme invoice-815 billing`,
	}, func(r *resource) []*cobra.Command {
		const one = "/app/%s/msg/%s"
		shown := columns("ID id, EVENT TYPE eventType, EVENT ID eventId, CHANNELS channels, SENT timestamp")
		explain := &cobra.Command{
			Use: "explain APP MESSAGE", Short: "Show what became of a message at each endpoint, and why",
			Example: `  hookwheel message explain acme invoice-815`,
			Args:    cobra.ExactArgs(2), RunE: r.explain}
		return []*cobra.Command{
			r.list(listing{use: "list APP", short: "List the messages of an application, newest first",
				example: `  hookwheel message list acme --since 1h --event-type invoice.paid
  hookwheel message list acme --search invoice-8
  hookwheel message list acme --with-status`,
				path: "/app/%s/msg", columns: shown,
				with: withFlag{"with-status", slices.Concat(shown, columns("DELIVERED outcomes.delivered, PENDING outcomes.pending, FAILED outcomes.failed"))},
				query: messageFilters().
					text("search", "search", "only with this `text` in the payload, or at the start of the id or event id").
					flag("with-status", "with_status", "count the endpoints by outcome")}),
			r.withBatch(operation{use: "send APP EVENT_TYPE PAYLOAD", short: "Send a message, or many from a file",
				long: `Send a message. PAYLOAD is a JSON object, @FILE for the content of a file, or -
for standard input. It is sent byte for byte.

With --batch only APP is given, and the messages are in a file of any size, as a
JSON array or one after the other, in the format of the API. They are sent in
batches, in their order. A message that is refused does not stop the others; the
exit code is then 1. To repeat a command that was interrupted, give it the same
--key both times: within 12 hours each message is accepted once.`,
				example: `  hookwheel message send acme invoice.paid '{"invoice": 815}' --id invoice-815
  hookwheel message send acme invoice.paid @invoice.json --channel eu
  hookwheel message send acme reminder.due '{"invoice": 815}' --at 3d
  hookwheel message send acme --batch invoices.ndjson --key import-2026-01`,
				method: http.MethodPost, path: "/app/%s/msg", body: messageSettings(), columns: shown,
				arguments: func(cmd *cobra.Command, args []string) (map[string]any, error) {
					payload, err := readPayload(cmd.Context(), args[2], cmd.InOrStdin())
					return map[string]any{"eventType": args[1], "payload": payload}, err
				}}),
			r.command(operation{use: "get APP MESSAGE", short: "Show a message",
				example: `  hookwheel message get acme invoice-815`,
				method:  http.MethodGet, path: one, columns: append(shown, column{title: "PAYLOAD", path: "payload"})}),
			explain,
			r.command(operation{use: "resend APP MESSAGE ENDPOINT", short: "Send a message to an endpoint again",
				long:    `Send a message to an endpoint again, now, in addition to any planned attempts.`,
				example: `  hookwheel message resend acme invoice-815 billing`,
				method:  http.MethodPost, path: one + "/endpoint/%s/resend", body: new(fields), done: "Resend queued."}),
			r.command(operation{use: "expunge APP MESSAGE", short: "Delete the payload of a message on every node",
				example: `  hookwheel message expunge acme invoice-815`,
				method:  http.MethodDelete, path: one + "/content", done: "Payload deleted."}),
		}
	})
}

func messageSettings() *fields {
	return new(fields).
		text("id", "eventId", "your own `id` for it; a second message with the same id is refused").
		list("channel", "channels", "its `channels`").
		list("tag", "tags", "its `tags`").
		text("ordering-key", "orderingKey", "`key` for endpoints that order by key").
		time("at", "deliverAt", "not before this `time`, such as 10m, 3d (from now) or 2026-01-31T12:00:00Z", timeFlag{future: true})
}

func messageFilters() *fields {
	return new(fields).
		text("channel", "channel", "only with this `channel`").
		text("tag", "tag", "only with this `tag`").
		list("event-type", "event_types", "only of these event `types`").
		time("since", "after", "only after this `time`, such as "+timeExamples, timeFlag{}).
		time("until", "before", "only before this `time`", timeFlag{})
}

// readPayload reads a JSON object, which text holds or names.
func readPayload(ctx context.Context, text string, stdin io.Reader) (verbatim, error) {
	payload := []byte(text)
	var err error
	switch name, file := strings.CutPrefix(text, "@"); {
	case text == "-":
		payload, err = readAll(ctx, stdin, maxResponse)
	case file:
		payload, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("the payload: %w", err)
	}
	if !gjson.ValidBytes(payload) || !gjson.ParseBytes(payload).IsObject() {
		return nil, usageError(errors.New(`the payload must be a JSON object, such as '{"invoice": 815}'`))
	}
	return payload, nil
}

// readAll reads up to limit bytes, unless ctx ends before.
func readAll(ctx context.Context, from io.Reader, limit int64) ([]byte, error) {
	var text []byte
	err := interruptible(ctx, func() error {
		read, err := io.ReadAll(io.LimitReader(from, limit))
		text = read
		return err
	})
	if err != nil {
		return nil, err
	}
	return text, nil
}

// interruptible runs f, and returns before it does when ctx ends. It is for reading and computing
// that can't be canceled, before the process ends.
func interruptible(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *resource) explain(cmd *cobra.Command, args []string) error {
	var response json.RawMessage
	path := apiPath("/app/%s/msg/%s/explain?limit=250", args...)
	if err := r.call(cmd.Context(), http.MethodGet, path, nil, &response); err != nil {
		return err
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), response)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), gjson.GetBytes(response, "text")); err != nil {
		return err
	}
	var items []json.RawMessage
	for _, item := range gjson.GetBytes(response, "data").Array() {
		items = append(items, json.RawMessage(item.Raw))
	}
	shown := columns("ENDPOINT endpointId, UID endpointUid, STATE state, ATTEMPTS attempts, PEER trace.peer, MS trace.totalMs, NEXT nextAttempt, WHY text")
	return printTable(cmd.OutOrStdout(), shown, items)
}
