package cli

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hookwheel/bench"
)

// finding is what a scenario has found.
type finding interface {
	WriteTable(io.Writer) error
	Err() error // a limit was not kept
}

// scenarioOptions are the flags that all scenarios have.
type scenarioOptions struct {
	scenario bench.Scenario
	json     bool
}

// newScenarioCommand makes the command of one scenario.
func newScenarioCommand(cmd *cobra.Command, measure func(context.Context, *bench.Scenario) (finding, error)) *cobra.Command {
	var o scenarioOptions
	flags := cmd.Flags()
	flags.StringArrayVar(&o.scenario.URLs, "url", []string{"http://127.0.0.1:8071"}, "node; repeat it to name all nodes of a cluster")
	flags.StringVar(&o.scenario.Token, "token", "", "token of the API (default $HOOKWHEEL_TOKEN, else read from "+tokenFile+")")
	flags.StringVar(&o.scenario.Listen, "sink", "127.0.0.1:0", "address to receive deliveries on; port 0 takes a free one")
	flags.BoolVar(&o.json, "json", false, "print the findings as JSON")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer cancel()
		context.AfterFunc(ctx, cancel) // a second ctrl-C ends the process at once
		if err := findToken(&o.scenario.Token); err != nil {
			return err
		}
		o.scenario.Progress = cmd.ErrOrStderr()
		found, err := measure(ctx, &o.scenario)
		if err != nil {
			return err
		}
		if o.json {
			encoder := json.NewEncoder(cmd.OutOrStdout())
			encoder.SetIndent("", "  ")
			err = encoder.Encode(found)
		} else {
			err = found.WriteTable(cmd.OutOrStdout())
		}
		if err != nil {
			return err
		}
		return found.Err()
	}
	return cmd
}

func newIsolationCommand() *cobra.Command {
	var rounds int
	cmd := newScenarioCommand(&cobra.Command{
		Use:   "isolation",
		Short: "Measure what three bad endpoints do to the latency of 17 good ones",
		Long: `Send events to 17 endpoints, and then to these and three more: one that never answers, one that resets each connection, one that
answers 500 after ten seconds. The time from POST to arrival at the 17 is compared.`,
	}, func(ctx context.Context, s *bench.Scenario) (finding, error) { return s.Isolation(ctx, rounds) })
	cmd.Flags().IntVar(&rounds, "rounds", 3, "how often each is measured, in turn; a round takes 40 seconds")
	return cmd
}

func newFloodCommand() *cobra.Command {
	var rounds int
	cmd := newScenarioCommand(&cobra.Command{
		Use:   "flood",
		Short: "Measure what a flood for one endpoint does to the latency of others",
		Long: `Send 100 events a second to ten endpoints, without and with 1,900 a second to an endpoint of another application. The time from POST to
arrival at the ten is compared.`,
	}, func(ctx context.Context, s *bench.Scenario) (finding, error) { return s.Flood(ctx, rounds) })
	cmd.Flags().IntVar(&rounds, "rounds", 3, "how often each is measured, in turn; a round takes 40 seconds")
	return cmd
}

func newDeadCommand() *cobra.Command {
	var events int
	cmd := newScenarioCommand(&cobra.Command{
		Use:   "dead",
		Short: "Measure what many events cost that wait for a dead endpoint, and how they arrive when it comes back",
		Long: `Send many events to an endpoint that takes them, and then as many to one that is dead. Compared are the heap of the leader and, with
the URLs of a whole cluster, for how long another endpoint gets nothing when the leader changes. Then the dead endpoint comes back.`,
	}, func(ctx context.Context, s *bench.Scenario) (finding, error) { return s.Dead(ctx, events) })
	cmd.Flags().IntVar(&events, "events", 1_000_000, "events to send, twice")
	return cmd
}

func newScheduledCommand() *cobra.Command {
	var events int
	cmd := newScenarioCommand(&cobra.Command{
		Use:   "scheduled",
		Short: "Measure what many events cost that stand in the retry set",
		Long: `Send many events to an endpoint at once, and then as many that are to be sent twelve hours later. These stand in the endpoint's retry
set, as events do whose attempt has failed. Compared are the heap of the leader and, with the URLs of a whole cluster, for how long
another endpoint gets nothing when the leader changes.`,
	}, func(ctx context.Context, s *bench.Scenario) (finding, error) { return s.Scheduled(ctx, events) })
	cmd.Flags().IntVar(&events, "events", 1_000_000, "events to send, twice")
	return cmd
}
