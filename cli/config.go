package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"hookwheel/config"
)

// addConfigFlag adds the flag that names the configuration file of a node.
func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "", "configuration `file` of the node (HCL); default: only environment variables")
}

// settingView is a setting that is in effect.
type settingView struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Secret  bool   `json:"secret"`
	Default bool   `json:"default"`
	Source  string `json:"source"`
}

func printSettings(out io.Writer, list []settingView) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tFROM\tVALUE")
	for _, setting := range list {
		from := setting.Source
		if from == "" {
			from = "default"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", setting.Name, from, setting.Value)
	}
	return table.Flush()
}

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration of a node",
		Long: `Check and show the configuration of a node: a file, environment variables, or
both. Each setting has a variable, which takes precedence over the file:
HOOKWHEEL_API_MAX_BODY is for max_body in the block api. Items of a list are
separated by commas. Without FILE there are only variables.`,
		Example: `  hookwheel config check /etc/hookwheel.hcl
  hookwheel config show /etc/hookwheel.hcl`,
	}
	cmd.AddCommand(newConfigCheck(), newConfigShow(), newConfigReload())
	return cmd
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration without starting a node",
		Long: `Check a configuration without starting a node: the settings, and on this
machine the data folder, the certificates and the addresses. It prints each
mistake with its line, or a summary. Run it as the user that the node runs as.`,
		Example: `  hookwheel config check /etc/hookwheel.hcl
  HOOKWHEEL_API_TOKEN=$(openssl rand -hex 16) hookwheel config check`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			checked, warnings, err := config.Check(cmd.Context(), optionalFile(args))
			for _, warning := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			if err != nil {
				return fmt.Errorf("the configuration can't be used:\n%w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "ok: %s\n", checked.Summary())
			return nil
		},
	}
}

func newConfigShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show what a configuration sets, without secrets",
		Long: `Show the settings that a node with this configuration would have, without
secrets, and where each of them is set. "hookwheel cluster configuration" shows
those of a node that runs.`,
		Example: `  hookwheel config show /etc/hookwheel.hcl
  hookwheel config show /etc/hookwheel.hcl --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			shown, err := config.Load(optionalFile(args))
			if err != nil {
				return err
			}
			var list []settingView
			for _, setting := range shown.Effective() {
				list = append(list, settingView(setting))
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printSettings(cmd.OutOrStdout(), list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// reloadView is what a node has reloaded.
type reloadView struct {
	Node    string   `json:"node"`
	Changed []string `json:"changed"`
	Restart []string `json:"restart"`
}

func newConfigReload() *cobra.Command {
	c := new(client)
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have nodes read their configuration again",
		Long: `Have each node of --url read its configuration again, as SIGHUP does. Tokens,
limits, lists of networks and origins, the log level and the links of the portal
change at once; the other changes are named and wait for a restart. With a
mistake nothing changes, and the node goes on.`,
		Example: `  hookwheel config reload
  hookwheel config reload --url http://10.0.0.1:8071,http://10.0.0.2:8071`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var errs []error
			for _, url := range c.urls {
				one := &client{urls: []string{url}, token: c.token, ca: c.ca}
				var view reloadView
				if err := one.call(cmd.Context(), "POST", "/cluster/configuration/reload", nil, &view); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", url, err))
					continue
				}
				view.print(cmd.OutOrStdout())
			}
			return errors.Join(errs...)
		},
	}
	c.addFlags(cmd)
	return cmd
}

func (v *reloadView) print(out io.Writer) {
	if len(v.Changed)+len(v.Restart) == 0 {
		fmt.Fprintf(out, "%s: nothing has changed\n", v.Node)
	}
	if len(v.Changed) > 0 {
		fmt.Fprintf(out, "%s: in effect: %s\n", v.Node, strings.Join(v.Changed, ", "))
	}
	if len(v.Restart) > 0 {
		fmt.Fprintf(out, "%s: only after a restart: %s\n", v.Node, strings.Join(v.Restart, ", "))
	}
}

// optionalFile returns the only argument, or "".
func optionalFile(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
