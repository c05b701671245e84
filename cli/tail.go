package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/webhook"
)

const (
	tailPatience = 45 * time.Second // without a sign of life from the node, which comes every 5 s
	tailPause    = time.Second      // before the next try to reach a node
	maxTailLine  = 1 << 20
)

// tailOptions are the flags of tail.
type tailOptions struct {
	app, endpoint, status, from string
	eventTypes                  []string
	json                        bool
}

// tailEvent is an event of the stream.
type tailEvent struct{ id, name, data string }

func newTailCommand() *cobra.Command {
	var (
		c client
		o tailOptions
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow attempts and changes of state as they happen",
		Long: `Follow attempts and changes of state as they happen. When the node goes away tail comes again, from the last event on,
so nothing is left out.`,
		Example: `  hookwheel tail
  hookwheel tail --app acme --status fail
  hookwheel tail --from 2026-01-31T12:00:00Z --json | jq .`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			query, err := o.query()
			if err != nil {
				return err
			}
			return followTail(ctx, &c, query, cmd.ErrOrStderr(), o.printer(cmd.OutOrStdout()))
		},
	}
	c.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.app, "app", "", "only of this application (id or uid)")
	flags.StringVar(&o.endpoint, "endpoint", "", "only of this endpoint of it (id or uid)")
	flags.StringVar(&o.status, "status", "", "only attempts that ended so: success, fail or canceled")
	flags.StringSliceVar(&o.eventTypes, "event-type", nil, "only attempts at messages of these event types")
	flags.StringVar(&o.from, "from", "", "begin in the past: a time, or the id of an event")
	flags.BoolVar(&o.json, "json", false, "print each event as a line of JSON")
	return cmd
}

func (o *tailOptions) query() (url.Values, error) {
	query := make(url.Values)
	for name, value := range map[string]string{"app": o.app, "endpoint": o.endpoint, "from": o.from, "event_types": strings.Join(o.eventTypes, ",")} {
		if value != "" {
			query.Set(name, value)
		}
	}
	switch o.status {
	case "":
	case "success":
		query.Set("status", "0")
	case "fail":
		query.Set("status", "2")
	case "canceled":
		query.Set("status", "4")
	default:
		return nil, fmt.Errorf("--status is %q: it must be success, fail or canceled", o.status)
	}
	return query, nil
}

// followTail prints events until ctx ends. What fails before the first stream has begun is returned, and so is a refusal that would be
// repeated, such as that of a token that was revoked; otherwise it tries again.
func followTail(ctx context.Context, c *client, query url.Values, notes io.Writer, show func(tailEvent) error) error {
	for begun := false; ; {
		err := readTail(ctx, c, query, func(event tailEvent) error {
			if event.id != "" {
				query.Set("from", event.id)
				begun = true
			}
			if event.name == "place" || event.name == "cut" {
				return nil
			}
			return show(event)
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case !begun || refused(err):
			return cmp.Or(err, io.ErrUnexpectedEOF)
		case err != nil:
			fmt.Fprintf(notes, "%v; trying again\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tailPause):
		}
	}
}

// refused tells whether a node has answered what it would answer again.
func refused(err error) bool {
	switch webhook.ErrorCode(err) {
	case webhook.CodeUnauthorized, webhook.CodeForbidden, webhook.CodeNotFound:
		return true
	default:
		return false
	}
}

// readTail reads one stream to its end.
func readTail(ctx context.Context, c *client, query url.Values, see func(tailEvent) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(tailPatience, cancel)
	defer silence.Stop()
	answer, err := c.request(ctx, "GET", "/tail?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, maxTailLine)
	var event tailEvent
	for lines.Scan() {
		silence.Reset(tailPatience)
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			event.id = value
		case "event":
			event.name = value
		case "data":
			event.data = value
		case "": // the end of an event, or a comment
			if event.name != "" {
				if err := see(event); err != nil {
					return err
				}
			}
			event = tailEvent{}
		}
	}
	return lines.Err()
}

// printer prints events for people, or for programs.
func (o *tailOptions) printer(out io.Writer) func(tailEvent) error {
	colours := isTerminal(out)
	return func(event tailEvent) error {
		if o.json {
			id, err := json.Marshal(event.id)
			if err == nil {
				_, err = fmt.Fprintf(out, `{"id":%s,"event":%q,"data":%s}`+"\n", printableJSON(id), event.name, printableJSON([]byte(event.data)))
			}
			return err
		}
		line, err := tailLine(event, colours)
		if err == nil {
			_, err = fmt.Fprintln(unwrap(out), line) // which is escaped, but for its colours
		}
		return err
	}
}

// The colours of a terminal (ECMA-48, SGR).
const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// tailLine is an event in one line. Nothing in it can steer a terminal but our colours.
func tailLine(event tailEvent, colours bool) (string, error) {
	var e struct {
		Timestamp          time.Time
		Change             string
		AppID, MsgID       string
		EndpointID, TaskID *string
		StatusText         string
		ResponseStatusCode int
		ResponseDurationMs int
		Number             int
		NextAttempt        *time.Time
		URL                string
	}
	if err := json.Unmarshal([]byte(event.data), &e); err != nil {
		return "", fmt.Errorf("an event that can't be read: %w", err)
	}
	word, colour := e.Change, yellow
	var rest []string
	if event.name == "attempt" {
		word, colour = e.StatusText, red
		if word == "success" {
			colour = green
		}
		rest = append(rest, fmt.Sprintf("%3d %5d ms  no. %d", e.ResponseStatusCode, e.ResponseDurationMs, e.Number), e.MsgID)
	}
	for _, id := range []*string{e.EndpointID, e.TaskID} {
		if id != nil {
			rest = append(rest, *id)
		}
	}
	if e.EndpointID == nil {
		rest = append(rest, e.AppID)
	}
	if e.URL != "" {
		rest = append(rest, e.URL)
	}
	if e.NextAttempt != nil {
		rest = append(rest, "next "+e.NextAttempt.Local().Format(time.TimeOnly))
	}
	word = fmt.Sprintf("%-18s", printable(word))
	if colours {
		word = colour + word + plain
	}
	return fmt.Sprintf("%s  %s  %s", e.Timestamp.Local().Format("15:04:05.000"), word, printable(strings.Join(rest, "  "))), nil
}
