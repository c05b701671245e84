package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// printUsage prints how cmd is used. It is a function because cobra's templates, for usage as for
// the version, would keep the linker from leaving out methods that nothing calls, a fifth of the
// program.
func printUsage(cmd *cobra.Command) error {
	var text strings.Builder
	section := func(title, body string) { fmt.Fprintf(&text, "\n\n%s:\n%s", title, body) }
	text.WriteString("Usage:")
	if cmd.Runnable() && !cmd.DisableFlagsInUseLine {
		text.WriteString("\n  " + cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		text.WriteString("\n  " + cmd.CommandPath() + " COMMAND")
	}
	if cmd.HasExample() {
		section("Examples", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		var lines []string
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				lines = append(lines, fmt.Sprintf("  %-*s %s", child.NamePadding(), child.Name(), child.Short))
			}
		}
		section("Commands", strings.Join(lines, "\n"))
	}
	if cmd.HasAvailableLocalFlags() {
		section("Flags", flagUsages(cmd.LocalFlags()))
	}
	if cmd.HasAvailableInheritedFlags() {
		section("Global flags", flagUsages(cmd.InheritedFlags()))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&text, "\n\nSee '%s COMMAND --help' for more about a command.", cmd.CommandPath())
	}
	_, err := fmt.Fprintln(cmd.OutOrStderr(), text.String())
	return err
}

func flagUsages(flags *pflag.FlagSet) string {
	return strings.TrimRightFunc(flags.FlagUsagesWrapped(80), unicode.IsSpace)
}

// maxDistance is how many letters a suggestion may differ in.
const maxDistance = 2

// makeStrict makes mistakes in the command line errors with the exit code for usage, in cmd and
// all commands below it. Left to itself, cobra prints the help of "app" for "app nope", and
// succeeds.
func makeStrict(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		makeStrict(child)
	}
	cmd.SetFlagErrorFunc(flagError)
	addCompletion(cmd)
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = noSuchCommand
		cmd.DisableFlagsInUseLine = true
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		return
	}
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, list []string) error {
			if cmd.HasSubCommands() && len(list) > 0 {
				return noSuchCommand(cmd, list)
			}
			return usageError(args(cmd, list))
		}
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { // before cobra checks the same
		return usageError(errors.Join(missingFlags(cmd), cmd.ValidateFlagGroups()))
	}
}

// usage returns how cmd is used, in a line.
func usage(cmd *cobra.Command) string {
	if cmd.HasSubCommands() && cmd.DisableFlagsInUseLine { // it does nothing itself
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// missingFlags names the required flags that were not given.
func missingFlags(cmd *cobra.Command) error {
	if cmd.ValidateRequiredFlags() == nil {
		return nil
	}
	var missing []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Annotations[cobra.BashCompOneRequiredFlag] != nil && !flag.Changed {
			missing = append(missing, "--"+flag.Name)
		}
	})
	return fmt.Errorf("%s is required", strings.Join(missing, " and "))
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = maxDistance
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError(errors.New(text))
}

// flagError suggests flags with similar names. A command that does not exist is the first
// mistake, although cobra looks at the flags behind it first.
func flagError(cmd *cobra.Command, err error) error {
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return noSuchCommand(cmd, args)
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usageError(err)
	}
	var near []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		distance := levenshtein.Distance(flag.Name, unknown.GetSpecifiedName(), nil)
		if !flag.Hidden && distance <= maxDistance {
			near = append(near, "--"+flag.Name)
		}
	})
	if len(near) > 0 {
		slices.Sort(near)
		err = fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))
	}
	return usageError(err)
}

// newHelpCommand replaces cobra's, which succeeds for commands that do not exist.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Show the help of a command",
		Example: `  hookwheel help
  hookwheel help endpoint create`,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noSuchCommand(found, rest)
			}
			return found.Help()
		},
	}
}
