package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster, as its configuration file says; config.example.hcl explains all there is.

Nodes that are started with the same list of peers form a cluster by themselves, in any order, and elect a leader as
soon as a majority is there. SIGTERM stops a node cleanly: for the time api.drain its health check tells load balancers to
choose another node while it still serves; then it takes no more requests, lets attempts under way come to their end and
hands leadership over. A second SIGTERM ends it at once, which loses nothing that was acknowledged.`,
		Example: `  hookwheel serve --config /etc/hookwheel.hcl
  HOOKWHEEL_TOKEN=… hookwheel serve --config config.example.hcl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := LoadConfig(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			return runNode(ctx, config, nil)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (HCL)")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	return cmd
}

// minProcs is how many threads may run Go code at least. One that waits for the disk, in a system call or a page fault, keeps its place
// among them for up to 10 ms; on a machine of one or two cores hardly any would be left while the log and the store are synced.
const minProcs = 4

// closePatience is how long a node may take to stop once the API has drained.
const closePatience = 15 * time.Second

// runNode runs a node until ctx ends or it fails; started is called when it serves, and may be nil.
func runNode(ctx context.Context, config Config, started func(*node)) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: config.LogLevel})).With("node", config.Node)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, runtime.GOMAXPROCS(0)))
	}
	n, err := startNode(config, log)
	if err != nil {
		return err
	}
	log.Info("serving", "api", n.api.Addr(), "version", version)
	if started != nil {
		started(n)
	}
	select {
	case err := <-n.failed:
		return cantGoOn(err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	patience := time.NewTimer(config.API.Drain + closePatience)
	defer patience.Stop()
	select {
	case <-patience.C:
		return fmt.Errorf("stopping the %s took longer than %s, so the process ended as after a crash; nothing is lost by that",
			n.closing.Load(), config.API.Drain+closePatience)
	case err := <-n.failed:
		return cantGoOn(err)
	case err := <-closed:
		if err != nil {
			return err
		}
	}
	log.Info("stopped")
	return nil
}

// cantGoOn ends the process at once, as a crash would: nothing on disk can be trusted to be as we think.
func cantGoOn(err error) error { return fmt.Errorf("this node can't go on: %w", err) }
