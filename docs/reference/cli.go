package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hookwheel/cli"
)

// commands returns the page of all commands and their flags.
func commands() (string, error) {
	root := cli.New("")
	var page strings.Builder
	page.WriteString("# Commands\n\n" + notice("the commands' own help"))
	fmt.Fprintf(&page, "%s\n\n", text(root.Long))
	page.WriteString("These flags are common to all commands that call a node:\n\n")
	flags(&page, root.Commands()[slices.IndexFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == "app" })].PersistentFlags())
	page.WriteString("| command | |\n|---|---|\n")
	each(root, func(cmd *cobra.Command) {
		fmt.Fprintf(&page, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
	})
	each(root, func(cmd *cobra.Command) { command(&page, cmd) })
	return page.String(), nil
}

// each calls f with every command below cmd that does something.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	for _, child := range cmd.Commands() {
		if !child.IsAvailableCommand() {
			continue
		}
		if !child.DisableFlagsInUseLine { // those that only have others below them do
			f(child)
		}
		each(child, f)
	}
}

func command(page *strings.Builder, cmd *cobra.Command) {
	about := cmd.Long
	if about == "" {
		about = cmd.Short + "."
	}
	fmt.Fprintf(page, "\n## %s\n\n`%s`\n\n%s\n", cmd.CommandPath(), cmd.UseLine(), text(about))
	if cmd.HasExample() {
		example := strings.ReplaceAll("\n"+cmd.Example, "\n  ", "\n")
		fmt.Fprintf(page, "\n<!-- tested by TestHelp: each of them is parsed -->\n```sh%s\n```\n", strings.TrimRight(example, "\n"))
	}
	page.WriteString("\n")
	flags(page, cmd.LocalNonPersistentFlags())
}

// flags writes a table of flags, without --help.
func flags(page *strings.Builder, set *pflag.FlagSet) {
	var rows []string
	set.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		if value := flag.DefValue; !slices.Contains([]string{"", "0", "0s", "false", "[]"}, value) {
			usage += " (default `" + strings.Trim(value, "[]") + "`)"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |\n", strings.TrimSpace("--"+flag.Name+" "+kind), cell(usage)))
	})
	if len(rows) > 0 {
		page.WriteString("| flag | |\n|---|---|\n" + strings.Join(rows, "") + "\n")
	}
}

// text makes Markdown of the help of a command: paragraphs, and what is indented as it is.
func text(help string) string {
	var paragraphs []string
	help = strings.NewReplacer("\t", "  ", "#### ", "").Replace(help) // in those of cobra
	for paragraph := range strings.SplitSeq(strings.TrimSpace(help), "\n\n") {
		lead, indented, _ := strings.Cut("\n"+paragraph, "\n  ")
		lead = strings.Trim(lead, "\n")
		if lead != "" {
			paragraphs = append(paragraphs, escape(lead))
		}
		if indented != "" {
			paragraphs = append(paragraphs, "<!-- not run: it is a part of the help -->\n```text\n"+strings.ReplaceAll(indented, "\n  ", "\n")+"\n```")
		}
	}
	return strings.Join(paragraphs, "\n\n")
}

// cell makes a text fit into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(escape(text), "\n", " "), "|", `\|`)
}

// escape keeps what is not Markdown from being read as that.
func escape(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`).Replace(text)
}
