package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/bench"
)

type benchOptions struct {
	load      bench.Load
	sink      string // address to listen on
	events    int
	endpoints int
	timeout   time.Duration
	json      bool
}

func newBenchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a running node: events per second, latency, losses, duplicates",
		Long: `Post events to a running node, or several of one cluster, receive their deliveries, and print how many were
accepted and delivered per second, how long that took, and whether any was lost or came twice.

The nodes must be able to reach --sink and be allowed to deliver to its address. Progress goes to stderr, the report to
stdout. The exit status is 1 if anything was lost or wrongly signed, or nothing was accepted.`,
		Example: `  # the node of "hookwheel dev", and how far it is from a bare loop on this machine
  hookwheel bench --baseline

  # a cluster, a million events of 4 KiB to three endpoints, report as JSON
  hookwheel bench --url http://10.0.0.1:8071 --url http://10.0.0.2:8071 --url http://10.0.0.3:8071 \
      --sink 10.0.0.9:9000 --events 1000000 --size 4096 --endpoints 3 --json > report.json

  # what a bad endpoint does to the others
  hookwheel bench isolation`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.load.URLs, "url", []string{"http://127.0.0.1:8071"}, "node to post to; may be repeated")
	flags.StringVar(&o.load.Token, "token", "",
		"token of the API (default $HOOKWHEEL_TOKEN, else read from "+tokenFile+")")
	flags.IntVar(&o.events, "events", 100_000, "events to send")
	flags.IntVar(&o.load.Connections, "connections", 64, "connections to send over, each with one event under way")
	flags.IntVar(&o.load.Size, "size", 1024, "payload of an event, in bytes")
	flags.IntVar(&o.endpoints, "endpoints", 1, "endpoints that each event is delivered to")
	flags.StringVar(&o.sink, "sink", "127.0.0.1:0", "address to receive deliveries on; port 0 takes a free one")
	flags.DurationVar(&o.load.Wait, "wait", 10*time.Second, "give up when nothing new has arrived for this long")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "end the whole run after this long")
	flags.BoolVar(&o.load.Baseline, "baseline", false, "first measure the generator posting straight to the sink")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	cmd.AddCommand(newIsolationCommand(), newFloodCommand(), newDeadCommand(), newScheduledCommand())
	return cmd
}

func (o *benchOptions) run(cmd *cobra.Command) (err error) {
	ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second ctrl-C ends the process at once
	ctx, stop := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("--timeout %v is over", o.timeout))
	defer stop()

	if err := findToken(&o.load.Token); err != nil {
		return err
	}
	sink, err := bench.NewSink(o.sink, o.endpoints, o.events)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	o.load.Sink, o.load.Progress = sink, cmd.ErrOrStderr()
	report, err := o.load.Run(ctx)
	if err != nil {
		return err
	}
	if err := o.print(cmd, report); err != nil {
		return err
	}
	return report.Err()
}

func (o *benchOptions) print(cmd *cobra.Command, report *bench.Report) error {
	if !o.json {
		return report.WriteTable(cmd.OutOrStdout())
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}
