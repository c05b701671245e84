package cli

import (
	"errors"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
)

// attemptStatuses are the words for the states of an attempt, which the API numbers.
var attemptStatuses = map[string]any{"success": 0, "pending": 1, "failed": 2, "sending": 3, "canceled": 4}

func newAttemptCommand() *cobra.Command {
	return newResourceCommand(&cobra.Command{
		Use:   "attempt",
		Short: "Attempts: requests that were sent to endpoints, and their results",
		Example: `  hookwheel attempt list acme --endpoint billing --status failed --since 1h
  hookwheel attempt list acme --message invoice-815
  hookwheel attempt get acme invoice-815 atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2
  hookwheel attempt headers acme invoice-815 atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
	}, func(r *resource) []*cobra.Command {
		shown := columns("ID id, MESSAGE msgId, ENDPOINT endpointId, TRIGGER triggerType, NO number, " +
			"STATUS statusText, CODE responseStatusCode, MS responseDurationMs, AT timestamp, NEXT nextAttempt")
		shown[3].words = []string{"scheduled", "manual"} // each type is numbered separately
		var endpoint, message string
		list := r.list(listing{use: "list APP", short: "List attempts of an application, newest first",
			example: `  hookwheel attempt list acme --since 10m
  hookwheel attempt list acme --endpoint billing --status failed --since 1h
  hookwheel attempt list acme --message invoice-815`,
			query:   messageFilters().choice("status", "status", "only attempts with this status: success, failed, pending, sending or canceled", attemptStatuses),
			columns: shown,
			pathOf: func(args []string) (string, error) {
				switch {
				case endpoint != "" && message != "":
					return "", usageError(errors.New("--endpoint and --message can't be used together"))
				case endpoint == "" && message == "":
					return apiPath("/app/%s/attempt", args[0]), nil
				case endpoint != "":
					return apiPath("/app/%s/attempt/endpoint/%s", args[0], endpoint), nil
				default:
					return apiPath("/app/%s/attempt/msg/%s", args[0], message), nil
				}
			}})
		list.Flags().StringVar(&endpoint, "endpoint", "", "only attempts to this `endpoint`")
		list.Flags().StringVar(&message, "message", "", "only attempts to deliver this `message`")
		return []*cobra.Command{list,
			r.command(operation{use: "get APP MESSAGE ATTEMPT", short: "Show an attempt and the response it got",
				example: `  hookwheel attempt get acme invoice-815 atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
				method:  http.MethodGet, path: "/app/%s/msg/%s/attempt/%s",
				columns: slices.Concat(shown, columns("PEER trace.peer, TLS trace.tlsVersion, REUSED trace.connectionReused, SENT trace.sentBytes, RECEIVED trace.receivedBytes, "+
					"LOOKUP MS trace.lookupMs, CONNECT MS trace.connectMs, TLS MS trace.tlsMs, FIRST BYTE MS trace.firstByteMs, RESPONSE response"))}),
			r.command(operation{use: "headers APP MESSAGE ATTEMPT", short: "Show the headers of an attempt's request and response",
				example: `  hookwheel attempt headers acme invoice-815 atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
				method:  http.MethodGet, path: "/app/%s/msg/%s/attempt/%s/headers",
				columns: columns("SENT sentHeaders, NOT SHOWN sensitive, RESPONSE responseHeaders")}),
		}
	})
}
