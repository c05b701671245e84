package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// configurationView is the configuration of a node.
type configurationView struct {
	Node string `json:"node"`
	Data []struct {
		Name    string `json:"name"`
		Value   string `json:"value"`
		Secret  bool   `json:"secret"`
		Default bool   `json:"default"`
	} `json:"data"`
}

func newClusterConfiguration(c *client) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "configuration",
		Short: "Show the settings that are in effect on a node, without secrets",
		Example: `  hookwheel cluster configuration
  hookwheel cluster configuration --url http://10.0.0.2:8071 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var view configurationView
			if err := c.call(cmd.Context(), "GET", "/cluster/configuration", nil, &view); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), view)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "SETTING\tFROM\tVALUE")
			for _, setting := range view.Data {
				from := "file"
				if setting.Default {
					from = "default"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\n", setting.Name, from, setting.Value)
			}
			return table.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
