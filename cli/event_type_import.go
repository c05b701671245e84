package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// importView is what an import has changed, or would.
type importView struct {
	Data struct {
		Modified []string `json:"modified"`
		Archived []string `json:"archived"`
	} `json:"data"`
}

func newEventTypeImport(r *resource) *cobra.Command {
	var in struct {
		DryRun     bool   `json:"dryRun"`
		ReplaceAll bool   `json:"replaceAll"`
		SpecRaw    string `json:"specRaw"`
	}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Create and update event types from an OpenAPI document",
		Long: `Create and update event types from the webhooks of an OpenAPI document of
version 3, in JSON or YAML; "-" reads standard input.`,
		Example: `  hookwheel event-type import openapi.yaml --dry-run
  hookwheel event-type import openapi.yaml --replace-all`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readDocument(cmd.Context(), args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			in.SpecRaw = string(text)
			var view importView
			if err := r.client.call(cmd.Context(), "POST", "/event-type/import/openapi", in, &view); err != nil {
				return err
			}
			if r.asJSON {
				return printJSON(cmd.OutOrStdout(), view)
			}
			verb := map[bool]string{true: "Would be ", false: ""}[in.DryRun]
			for _, name := range view.Data.Modified {
				fmt.Fprintf(cmd.OutOrStdout(), "%simported: %s\n", verb, name)
			}
			for _, name := range view.Data.Archived {
				fmt.Fprintf(cmd.OutOrStdout(), "%sarchived: %s\n", verb, name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "change nothing, and show what would be changed")
	cmd.Flags().BoolVar(&in.ReplaceAll, "replace-all", false, "archive all event types that the document does not have")
	return cmd
}

func readDocument(ctx context.Context, name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return readAll(ctx, stdin, maxResponse)
	}
	return os.ReadFile(name)
}
