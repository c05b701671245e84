package cli

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"
)

func newAttemptCommand() *cobra.Command {
	return newResourceCommand("attempt", "Attempts: requests that carried messages to endpoints, and what came of them",
		`  hookwheel attempt list acme --endpoint billing --status 2
  hookwheel attempt list acme --message invoice-815
  hookwheel attempt get acme invoice-815 atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2`,
		func(p *people) []*cobra.Command {
			shown := columns("ID id, MESSAGE msgId, ENDPOINT endpointId, TRIGGER triggerType, NO number, STATUS statusText, CODE responseStatusCode, MS responseDurationMs, AT timestamp, NEXT nextAttempt")
			shown[3].words = []string{"scheduled", "manual"} // each has numbers of its own
			var endpoint, message string
			list := &cobra.Command{Use: "list APP (--endpoint ENDPOINT | --message MESSAGE)", Short: "Attempts at an endpoint or at a message, the newest first", Args: cobra.ExactArgs(1)}
			list.Flags().StringVar(&endpoint, "endpoint", "", "attempts at this endpoint")
			list.Flags().StringVar(&message, "message", "", "attempts at this message")
			filters := messageFilters().text("status", "status", "only those that ended so: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled")
			return []*cobra.Command{
				p.newList(list, filters, shown, func(args []string) (string, error) {
					switch {
					case endpoint != "" && message != "", endpoint == "" && message == "":
						return "", errors.New("give --endpoint or --message")
					case endpoint != "":
						return apiPath("/app/%s/attempt/endpoint/%s", args[0], endpoint), nil
					default:
						return apiPath("/app/%s/attempt/msg/%s", args[0], message), nil
					}
				}),
				p.newDo(&cobra.Command{Use: "get APP MESSAGE ATTEMPT", Short: "Show an attempt, and what was answered"}, 3, nil, http.MethodGet, "/app/%s/msg/%s/attempt/%s", nil,
					append(shown, column{title: "ANSWER", path: "response"}), ""),
			}
		})
}
