package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"
)

var messageColumns = columns("ID id, EVENT TYPE eventType, EVENT ID eventId, CHANNELS channels, SENT timestamp")

func newMessageCommand() *cobra.Command {
	return newResourceCommand("message", "Messages: send them, and ask what became of them",
		`  hookwheel message send acme invoice.paid '{"invoice": 815}' --id invoice-815
  hookwheel message send acme invoice.paid @invoice.json
  hookwheel message explain acme invoice-815
  hookwheel message resend acme invoice-815 billing`,
		func(p *people) []*cobra.Command {
			const one = "/app/%s/msg/%s"
			send := &cobra.Command{Use: "send APP EVENT_TYPE PAYLOAD", Short: "Send a message",
				Long: "Send a message. PAYLOAD is a JSON object, @FILE for what a file holds, or - for standard input."}
			explain := &cobra.Command{Use: "explain APP MESSAGE", Short: "What became of a message at each endpoint, or will, and why", Args: cobra.ExactArgs(2), RunE: p.explain}
			return []*cobra.Command{
				p.newList(&cobra.Command{Use: "list APP", Short: "Messages of an application, the newest first", Args: cobra.ExactArgs(1)}, messageFilters(), messageColumns,
					func(args []string) (string, error) { return apiPath("/app/%s/msg", args...), nil }),
				p.newDo(send, 3, new(fields).text("id", "eventId", "your own name for it: a second one with it is refused").list("channel", "channels", "its channels").
					list("tag", "tags", "its tags").text("ordering-key", "orderingKey", "messages with one key go out one after the other, where an endpoint wants that").
					text("at", "deliverAt", "not before this time, such as 2026-01-31T12:00:00Z"),
					http.MethodPost, "/app/%s/msg", func(args []string) (map[string]any, error) {
						payload, err := readPayload(args[2], send.InOrStdin())
						return map[string]any{"eventType": args[1], "payload": payload}, err
					}, messageColumns, ""),
				p.newDo(&cobra.Command{Use: "get APP MESSAGE", Short: "Show a message"}, 2, nil, http.MethodGet, one, nil,
					columns("ID id, EVENT TYPE eventType, EVENT ID eventId, CHANNELS channels, SENT timestamp, PAYLOAD payload"), ""),
				explain,
				p.newDo(&cobra.Command{Use: "resend APP MESSAGE ENDPOINT", Short: "Send a message to an endpoint once more, whatever else is planned"}, 3,
					new(fields), http.MethodPost, one+"/endpoint/%s/resend", nil, nil, "It is sent again."),
				p.newDo(&cobra.Command{Use: "expunge APP MESSAGE", Short: "Remove the payload of a message from every node"}, 2, nil, http.MethodDelete, one+"/content", nil, nil,
					"The payload is gone."),
			}
		})
}

func messageFilters() *fields {
	return new(fields).text("channel", "channel", "only those with it").text("tag", "tag", "only those with it").list("event-type", "event_types", "only these").
		text("after", "after", "only those after this time").text("before", "before", "only those before this time")
}

// readPayload takes a JSON object, @FILE or -.
func readPayload(text string, stdin io.Reader) (verbatim, error) {
	payload := []byte(text)
	var err error
	switch name, file := strings.CutPrefix(text, "@"); {
	case text == "-":
		payload, err = io.ReadAll(io.LimitReader(stdin, maxAnswer))
	case file:
		payload, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("the payload: %w", err)
	}
	if !gjson.ValidBytes(payload) || !gjson.ParseBytes(payload).IsObject() {
		return nil, errors.New(`the payload must be a JSON object, such as '{"invoice": 815}'`)
	}
	return payload, nil
}

func (p *people) explain(cmd *cobra.Command, args []string) error {
	var answer json.RawMessage
	if err := p.call(cmd.Context(), http.MethodGet, apiPath("/app/%s/msg/%s/explain?limit=250", args...), nil, &answer); err != nil {
		return err
	}
	if p.asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), gjson.GetBytes(answer, "text")); err != nil {
		return err
	}
	var items []json.RawMessage
	for _, item := range gjson.GetBytes(answer, "data").Array() {
		items = append(items, json.RawMessage(item.Raw))
	}
	return p.table(cmd.OutOrStdout(), columns("ENDPOINT endpointId, UID endpointUid, STATE state, ATTEMPTS attempts, NEXT nextAttempt, WHY text"), items)
}
