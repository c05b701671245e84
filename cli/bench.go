package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hookwheel/bench"
)

type benchOptions struct {
	load      bench.Load
	sink      string // address to listen on
	events    int
	endpoints int
	timeout   time.Duration
	relay     bool
	json      bool
}

func newBenchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure running nodes: events per second, latency, losses",
		Long: `Post events to running nodes, receive their deliveries, and print how many were
accepted and delivered per second, with which latency, and whether any were lost
or delivered twice.

The report also shows what the nodes given have used, as their metrics say: CPU
time, growth of the data folders, and the most memory of one look a second. With
several nodes, give the URLs of all. If they run on this machine, it also shows
what the disks of this machine have written, for whatever process, and up to
1 GiB of free memory, at most a quarter, is touched first: in a virtual machine
new pages are slow.

--relay measures a ceiling, too: the least that delivers events of this API,
without and with a log that is synced before each response. It runs on this
machine, and its log of 64 MiB is in $TMPDIR, which should be on the disk of
the nodes.

--rate offers events at a steady rate, whatever the nodes do. Latencies then
count from when an event is due, also if it has to wait for a free connection,
so that a node that stalls can't hide it by keeping events from being sent.

The nodes must be able to reach --sink and be allowed to deliver to its address.
bench creates an application and deletes it at the end, also when interrupted.
Progress goes to stderr, the report to stdout. The exit code is 1 if an event
was lost or had a wrong signature, or if none was accepted.`,
		Example: `  # the node of "hookwheel dev", compared with a bare loop on this machine
  hookwheel bench --baseline

  # and with the least that a relay of webhooks can be
  hookwheel bench --baseline --relay

  # a cluster, a million events of 4 KiB to three endpoints, report as JSON
  hookwheel bench --url http://10.0.0.1:8071,http://10.0.0.2:8071 \
      --sink 10.0.0.9:9000 --events 1000000 --size 4096 --endpoints 3 --json

  # latency and CPU at a steady 1,000 events per second
  hookwheel bench --rate 1000 --events 30000

  # what a bad endpoint does to the others
  hookwheel bench isolation`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	addBenchFlags(flags, &o.load.URLs, &o.load.Token, &o.sink, &o.json)
	flags.IntVar(&o.events, "events", 100_000, "`number` of events to send")
	flags.IntVar(&o.load.Connections, "connections", 64, "`number` of connections, each with one POST in flight")
	flags.IntVar(&o.load.Batch, "batch", 0, "`number` of events in a POST (default: each by itself)")
	flags.Float64Var(&o.load.Rate, "rate", 0, "`events` to offer per second (default: as fast as they are accepted)")
	flags.IntVar(&o.load.Size, "size", 1024, "payload of an event, in `bytes`")
	flags.IntVar(&o.endpoints, "endpoints", 1, "`number` of endpoints that each event is delivered to")
	flags.DurationVar(&o.load.Wait, "wait", 10*time.Second, "give up when nothing new has arrived for this long")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "end the whole run after this long")
	flags.BoolVar(&o.load.Baseline, "baseline", false, "first measure the generator posting directly to the sink")
	flags.BoolVar(&o.relay, "relay", false, "first measure a minimal relay, without and with a log")
	cmd.AddCommand(newRelayCommand(), newIsolationCommand(), newFloodCommand(), newDeadCommand(), newScheduledCommand(), newTailsCommand())
	return cmd
}

// addBenchFlags adds the flags that bench and its scenarios share.
func addBenchFlags(flags *pflag.FlagSet, urls *[]string, token, sink *string, asJSON *bool) {
	addURLFlag(flags, urls)
	addTokenFlag(flags, token)
	flags.StringVar(sink, "sink", "127.0.0.1:0", "`address` to receive deliveries at; port 0 picks a free one")
	flags.BoolVar(asJSON, "json", false, "print the report as JSON")
}

func (o *benchOptions) run(cmd *cobra.Command) (err error) {
	ctx, stop := context.WithTimeoutCause(cmd.Context(), o.timeout, fmt.Errorf("stopped after --timeout %v", o.timeout))
	defer stop()
	if err := findNodes(&o.load.URLs, &o.load.Token); err != nil {
		return err
	}
	sink, err := bench.NewSink(o.sink, o.endpoints, o.events)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	o.load.Sink, o.load.Progress, o.load.Warm = sink, cmd.ErrOrStderr(), true
	if o.relay {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		o.load.Relay = []string{self, "bench", relayName}
	}
	report, err := o.load.Run(ctx)
	if err != nil {
		return err
	}
	return printReport(cmd.OutOrStdout(), report, o.json)
}

// relayName is the command that bench --relay runs.
const relayName = "relay"

// newRelayCommand runs a relay until its input ends, for bench --relay.
func newRelayCommand() *cobra.Command {
	return &cobra.Command{
		Use:    relayName + " [FILE]",
		Short:  "Run a minimal relay, with a log if a file is given, until the input ends",
		Hidden: true,
		Example: `  # prints its URL
  hookwheel bench relay`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() { // ends with the process, at the latest
				io.Copy(io.Discard, cmd.InOrStdin())
				cancel()
			}()
			return bench.Relay(ctx, "127.0.0.1:0", strings.Join(args, ""), cmd.OutOrStdout())
		},
	}
}

// findNodes completes URLs and token. The first node becomes one that can be reached, because it
// is asked for the application; bench copes with others that are down.
func findNodes(urls *[]string, token *string) error {
	var failures []error
	var up, down []string
	for _, text := range *urls {
		base, err := baseURL(text)
		if err != nil {
			return err
		}
		if err := reach(base); err != nil {
			failures = append(failures, newConnectionError(base, err))
			down = append(down, base)
			continue
		}
		up = append(up, base)
	}
	if len(up) == 0 {
		return &exitError{errors.Join(failures...), exitNoConnection}
	}
	*urls = append(up, down...)
	return findToken(token)
}

// reach reports whether a node accepts connections.
func reach(base string) error {
	parsed, err := url.Parse(base)
	if err != nil {
		return err
	}
	address := parsed.Host
	if parsed.Port() == "" {
		address = net.JoinHostPort(parsed.Hostname(), parsed.Scheme) // the name of a port, too
	}
	conn, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// report is what a measurement returns.
type report interface {
	WriteTable(io.Writer) error
	Err() error // what is wrong with the results
}

// printReport prints a report and returns what is wrong with its results.
func printReport(out io.Writer, r report, asJSON bool) error {
	var err error
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.WriteTable(out)
	}
	if err != nil {
		return err
	}
	return r.Err()
}
