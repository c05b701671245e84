package cli

import (
	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/node"
)

// tuneThreads is for commands that run a node, as the first thing that they do.
func tuneThreads(cmd *cobra.Command) {
	if err := node.TuneThreads(); err != nil {
		cmd.PrintErrln("The kernel's defaults for threads stay, which take more CPU time and make events wait longer:", err)
	}
}

func newServeCommand(version string) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve [--config FILE]",
		Short: "Run one node of a cluster",
		Long: `Run one node of a cluster, as its configuration file says; config.example.hcl
explains every setting. Environment variables take precedence over the file, and
can replace it: see "hookwheel config --help".

Nodes that start with the same list of peers form a cluster by themselves, in
any order, and elect a leader once all of them are running.

SIGTERM stops a node cleanly: for the time of api.drain its health check tells
load balancers to choose another node while it still serves; then it accepts no
more requests, finishes attempts in flight and transfers leadership. A second
SIGTERM ends it at once, which loses nothing that was acknowledged.`,
		Example: `  hookwheel serve --config /etc/hookwheel.hcl
  HOOKWHEEL_API_TOKEN=$(openssl rand -hex 16) hookwheel serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := config.Load(path)
			if err != nil {
				return err
			}
			tuneThreads(cmd)
			return node.Run(cmd.Context(), config, version, nil)
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}
