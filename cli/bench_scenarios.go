package cli

import (
	"context"

	"github.com/spf13/cobra"

	"hookwheel/bench"
)

// scenario describes a command that measures something bad happening beside other work.
type scenario struct {
	use, short, long string

	// How often it is repeated, or how much of it there is: the flag, its default and its usage.
	flag    string
	amount  int
	usage   string
	measure func(ctx context.Context, s *bench.Scenario, amount int) (report, error)
}

// command returns the command of a scenario.
func (s scenario) command() *cobra.Command {
	var run bench.Scenario
	var asJSON bool
	cmd := &cobra.Command{Use: s.use, Short: s.short, Long: s.long, Args: cobra.NoArgs,
		Example: "  hookwheel bench " + s.use}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := findNodes(&run.URLs, &run.Token); err != nil {
			return err
		}
		run.Progress = cmd.ErrOrStderr()
		found, err := s.measure(cmd.Context(), &run, s.amount)
		if err != nil {
			return err
		}
		return printReport(cmd.OutOrStdout(), found, asJSON)
	}
	addBenchFlags(cmd.Flags(), &run.URLs, &run.Token, &run.Listen, &asJSON)
	cmd.Flags().IntVar(&s.amount, s.flag, s.amount, s.usage)
	return cmd
}

func newIsolationCommand() *cobra.Command {
	return scenario{use: "isolation", short: "Measure what three bad endpoints do to the latency of 17 good ones",
		long: `Send events to 17 endpoints, and then to these and three more: one that never
responds, one that resets each connection, and one that returns 500 after ten
seconds. Compare the time from POST to arrival at the 17.`,
		flag: "rounds", amount: 3, usage: "`number` of measurements of each, in turn; a round takes 40 seconds",
		measure: func(ctx context.Context, s *bench.Scenario, rounds int) (report, error) {
			return s.Isolation(ctx, rounds)
		}}.command()
}

func newFloodCommand() *cobra.Command {
	return scenario{use: "flood", short: "Measure what a flood to one endpoint does to the latency of others",
		long: `Send 100 events a second to ten endpoints, without and with 1,900 a second to an
endpoint of another application. Compare the time from POST to arrival at the
ten.`,
		flag: "rounds", amount: 3, usage: "`number` of measurements of each, in turn; a round takes 40 seconds",
		measure: func(ctx context.Context, s *bench.Scenario, rounds int) (report, error) {
			return s.Flood(ctx, rounds)
		}}.command()
}

func newDeadCommand() *cobra.Command {
	return scenario{use: "dead", short: "Measure the cost of a dead endpoint's backlog, and its recovery",
		long: `Send many events to an endpoint that accepts them, and then as many to one that
is dead. Compare the heap of the leader and, with the URLs of a whole cluster,
for how long another endpoint gets nothing when the leader changes. Then the
dead endpoint comes back.`,
		flag: "events", amount: 1_000_000, usage: "`number` of events to send, twice",
		measure: func(ctx context.Context, s *bench.Scenario, events int) (report, error) {
			return s.Dead(ctx, events)
		}}.command()
}

func newScheduledCommand() *cobra.Command {
	return scenario{use: "scheduled", short: "Measure the cost of many events in the retry set",
		long: `Send many events to an endpoint at once, and then as many that are due twelve
hours later. These are in the endpoint's retry set, as are events whose attempt
has failed. Compare the heap of the leader and, with the URLs of a whole
cluster, for how long another endpoint gets nothing when the leader changes.`,
		flag: "events", amount: 1_000_000, usage: "`number` of events to send, twice",
		measure: func(ctx context.Context, s *bench.Scenario, events int) (report, error) {
			return s.Scheduled(ctx, events)
		}}.command()
}

func newTailsCommand() *cobra.Command {
	return scenario{use: "tails", short: "Measure the cost of open tails that read slowly",
		long: `Send 100 events a second to four endpoints, without and with open streams of
events (/api/v1/tail) that read 512 bytes a second each. Compare the time from
POST to response and to arrival, and the memory of the node. A node permits
1,000 streams, or api.tails of its configuration.`,
		flag: "streams", amount: 1000, usage: "`number` of streams",
		measure: func(ctx context.Context, s *bench.Scenario, streams int) (report, error) {
			return s.Tails(ctx, streams)
		}}.command()
}
