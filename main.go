// Hookwheel sends webhooks: it takes events over HTTP, keeps them in a replicated log and delivers each, signed, to every
// endpoint that wants it, until the endpoint says 2xx or its retry schedule ends.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker in releases.
var version = "dev"

func main() {
	if err := newRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hookwheel:", err)
		os.Exit(1)
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "hookwheel",
		Short:         "A webhook sender that keeps its word: one binary, three nodes, nothing else to run",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDevCommand(), newServeCommand(), newClusterCommand(), newKeyCommand(), newCheckCommand(), newCertCommand(), newBackupCommand(), newRestoreCommand(), newTailCommand(), newBenchCommand(),
		newListenCommand(), newVerifyCommand(), newAppCommand(), newEndpointCommand(), newEventTypeCommand(), newMessageCommand(), newAttemptCommand(),
		newTaskCommand())
	return root
}
