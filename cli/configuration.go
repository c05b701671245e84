package cli

import (
	"github.com/spf13/cobra"
)

// configurationView is the configuration of a node.
type configurationView struct {
	Node string        `json:"node"`
	Data []settingView `json:"data"`
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
			return printSettings(cmd.OutOrStdout(), view.Data)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
