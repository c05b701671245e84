// Package cli is the command line. The file of a command has its name.
package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Main runs the command line of this version and returns the exit code.
func Main(version string) int {
	root := New(version)
	root.SetOut(safeWriter{os.Stdout})
	root.SetErr(safeWriter{os.Stderr})
	if err := root.Execute(); err != nil {
		fmt.Fprintln(root.ErrOrStderr(), "hookwheel:", err)
		code := 1
		var exit *exitError
		if errors.As(err, &exit) {
			code = exit.code
		}
		return code
	}
	return 0
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

// New returns the command line of this version.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:           "hookwheel",
		Short:         "A webhook sender that keeps its word: one binary, three nodes, nothing else to run",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDevCommand(), newServeCommand(), newClusterCommand(), newKeyCommand(), newCheckCommand(), newCertCommand(), newBackupCommand(), newRestoreCommand(), newTailCommand(), newBenchCommand(),
		newListenCommand(), newVerifyCommand(), newAppCommand(), newEndpointCommand(), newEventTypeCommand(), newMessageCommand(), newAttemptCommand(),
		newTaskCommand())
	return root
}
