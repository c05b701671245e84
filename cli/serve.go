package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/node"
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
			config, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			return node.Run(ctx, config, cmd.Root().Version, nil)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file (HCL)")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	return cmd
}
