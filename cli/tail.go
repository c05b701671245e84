package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/webhook"
)

const (
	tailPatience = 45 * time.Second // of silence; a node sends a heartbeat every 5 s
	tailPause    = time.Second      // before reconnecting
	maxTailLine  = 1 << 20
)

// tailOptions are the flags of tail.
type tailOptions struct {
	app, endpoint string
	status        choice
	from          timeFlag
	eventTypes    []string
	rate          int
	pulse         bool
	json          bool
}

// tailEvent is an event of the stream.
type tailEvent struct{ id, name, data string }

func newTailCommand() *cobra.Command {
	var (
		c client
		o = newTailOptions()
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Follow attempts and changes of state as they happen",
		Long: `Follow attempts and changes of state as they happen. If the connection drops,
tail reconnects and resumes after the last event, so nothing is missed. NO_COLOR
turns colors off.`,
		Example: `  hookwheel tail
  hookwheel tail --app acme --status failed
  hookwheel tail --rate 10 --pulse
  hookwheel tail --from 1h --json | jq .`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return followTail(cmd.Context(), &c, o.query(cmd.Flags().Changed("rate")), cmd.ErrOrStderr(), o.printer(cmd.OutOrStdout()))
		},
	}
	c.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.app, "app", "", "only of this `application` (id or uid)")
	flags.StringVar(&o.endpoint, "endpoint", "", "only of this `endpoint` (id or uid), with --app")
	flags.Var(&o.status, "status", "only attempts with this `result`: success, failed or canceled")
	flags.StringSliceVar(&o.eventTypes, "event-type", nil, "only attempts to send messages of these event `types`")
	flags.Var(&o.from, "from", "start in the past: a `time` such as "+timeExamples+", or the id of an event")
	flags.IntVar(&o.rate, "rate", 0, "print up to this `number` of events a second, and count the others (default all)")
	flags.BoolVar(&o.pulse, "pulse", false, "print counts of all attempts each second")
	flags.BoolVar(&o.json, "json", false, "print each event as a line of JSON")
	return cmd
}

// newTailOptions returns the options before flags change them.
func newTailOptions() tailOptions {
	return tailOptions{
		status: choice{words: map[string]any{"success": "0", "failed": "2", "canceled": "4"}},
		from:   timeFlag{other: isEvent},
	}
}

func isEvent(text string) bool {
	_, err := webhook.ParseID(webhook.KindEvent, text)
	return err == nil
}

func (o *tailOptions) query(rated bool) url.Values {
	query := make(url.Values)
	status, _ := o.status.words[o.status.text].(string)
	for name, value := range map[string]string{"app": o.app, "endpoint": o.endpoint, "from": o.from.text,
		"event_types": strings.Join(o.eventTypes, ","), "status": status} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if rated {
		query.Set("rate", strconv.Itoa(o.rate))
	}
	if o.pulse {
		query.Set("pulse", "true")
	}
	return query
}

// followTail prints events until ctx ends. It returns an error that occurs before the first event
// and a refusal that a retry would meet again, such as that of a revoked token; after any other
// error it reconnects.
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
		case !begun || isFinal(err):
			return cmp.Or(err, io.ErrUnexpectedEOF)
		case err != nil:
			fmt.Fprintf(notes, "%v; reconnecting\n", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tailPause):
		}
	}
}

// isFinal reports whether a node would respond to a retry in the same way.
func isFinal(err error) bool {
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
	response, err := c.request(ctx, "GET", "/tail?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
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
		case "": // end of an event, or a comment
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

// printer returns a function that prints events as lines of text or JSON.
func (o *tailOptions) printer(out io.Writer) func(tailEvent) error {
	colors := hasColors(out)
	return func(event tailEvent) error {
		if o.json {
			id, err := json.Marshal(event.id)
			if err == nil {
				_, err = fmt.Fprintf(out, `{"id":%s,"event":%q,"data":%s}`+"\n",
					printableJSON(id), event.name, printableJSON([]byte(event.data)))
			}
			return err
		}
		line, err := tailLine(event, colors)
		if err == nil {
			_, err = fmt.Fprintln(unwrap(out), line) // already escaped, except for our colors
		}
		return err
	}
}
