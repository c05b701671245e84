// Package cli implements the command line. Each command is in the file of its name.
package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, which the help of hookwheel documents.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitNoConnection = 3
	exitRemoved      = 10 // of a node that dev runs: it was removed from the cluster
	exitInterrupted  = 130
)

// Main runs the command line and returns the exit code. It handles signals for all commands: the
// first SIGINT or SIGTERM cancels the command's context, the second ends the process.
func Main(version string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	root := New(version)
	root.SetOut(safeWriter{os.Stdout})
	root.SetErr(safeWriter{os.Stderr})
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	code := exitCode(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	fmt.Fprintln(root.ErrOrStderr(), "hookwheel:", err)
	if code == exitUsage {
		fmt.Fprintf(root.ErrOrStderr(), "Usage: %s\nSee '%s --help'.\n", usage(cmd), cmd.CommandPath())
	}
	return code
}

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

// usageError marks err, unless it is nil, as a mistake in the command line.
func usageError(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{err, exitUsage}
}

func usageErrorf(format string, values ...any) error {
	return usageError(fmt.Errorf(format, values...))
}

func exitCode(err error) int {
	var exit *exitError
	var network *net.OpError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &network) && network.Op == "dial":
		return exitNoConnection
	default:
		return exitFailed
	}
}

// New returns the command line. An empty version means the one in the build information.
func New(version string) *cobra.Command {
	info := newBuild(version)
	root := &cobra.Command{
		Use:   "hookwheel",
		Short: "Reliable webhooks: one binary, three nodes, nothing else to run",
		Long: `Hookwheel sends webhooks reliably: one binary, three nodes, nothing else to run.

Start with "hookwheel dev", which runs a node and prints commands to try.
Commands that call a node find it at --url or HOOKWHEEL_URL, which may list
several nodes, separated by commas: if one can't be reached, the next one is
tried.

Exit codes:
  0    success
  1    failed, or refused by the server
  2    wrong command, flag or argument
  3    no connection to any node
  4    "hookwheel attention" found something
  130  interrupted`,
		Example: `  hookwheel dev
  hookwheel app create "Acme Inc." --uid acme
  hookwheel endpoint create acme http://127.0.0.1:9000/ --uid billing
  hookwheel message send acme invoice.paid '{"invoice": 815}'`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newDevCommand(info.version), newServeCommand(info.version), newConfigCommand(), newClusterCommand(), newKeyCommand(),
		newHealthCommand(), newCheckCommand(), newCertCommand(), newBackupCommand(), newRestoreCommand(),
		newTailCommand(), newConsoleCommand(), newStatsCommand(), newAttentionCommand(), newAuditCommand(), newSettingsCommand(), newBenchCommand(),
		newListenCommand(), newVerifyCommand(),
		newAppCommand(), newEndpointCommand(), newEventTypeCommand(), newMessageCommand(),
		newAttemptCommand(), newTaskCommand(), newImportCommand(), newVersionCommand(info))
	root.SetUsageFunc(printUsage)
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion") // it needs to be there for the next line
	makeStrict(root)
	addVersionFlag(root, info)
	return root
}
