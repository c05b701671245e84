package cli

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

func newSettingsCommand() *cobra.Command {
	columns := columns("NAME displayName, LOGO customLogoUrl, FONT customFontFamily, PRIMARY colorPaletteLight.primary, " +
		"SOURCE ADDRESSES delivery.sourceAddresses, UPDATED updatedAt")
	return newResourceCommand(&cobra.Command{
		Use:   "settings",
		Short: "How the pages that customers see look",
		Long: `How the pages that customers see look, and what customers are told about
deliveries. The latter is in the configuration.`,
		Example: `  hookwheel settings get --json
  hookwheel settings put '{"displayName": "Example Webhooks"}'`,
	}, func(r *resource) []*cobra.Command {
		return []*cobra.Command{
			r.command(operation{use: "get", short: "Show the settings", example: "  hookwheel settings get --json",
				method: http.MethodGet, path: "/environment/settings", columns: columns}),
			newSettingsPut(r, columns),
		}
	})
}

func newSettingsPut(r *resource, columns []column) *cobra.Command {
	return &cobra.Command{
		Use:   "put SETTINGS",
		Short: "Replace all settings with those of a JSON object",
		Long: `Replace all settings with a JSON object, or the one in @FILE or standard input
(-). Fields that it lacks are cleared: edit what "settings get --json" prints.`,
		Example: `  hookwheel settings put '{"displayName": "Example Webhooks"}'
  hookwheel settings put @settings.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := readPayload(cmd.Context(), args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			return r.run(cmd, &operation{method: http.MethodPut, columns: columns}, "/environment/settings", json.RawMessage(settings))
		},
	}
}
