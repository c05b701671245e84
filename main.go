// Hookwheel sends webhooks: it takes events over HTTP, keeps them in a replicated log and delivers each, signed, to every
// endpoint that wants it, until the endpoint says 2xx or its retry schedule ends.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the linker in releases.
var version = "dev"

func main() {
	if err := newRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "hookwheel:", err)
		code := 1
		var exit *exitError
		if errors.As(err, &exit) {
			code = exit.code
		}
		os.Exit(code)
	}
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

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
