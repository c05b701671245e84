package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

// newConsoleCommand creates links to the console.
func newConsoleCommand() *cobra.Command {
	c := new(client)
	var role string
	expires := model.Duration(12 * time.Hour)
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Print a link that signs in to the console, valid for 12 hours",
		Long: `Print a link that signs in to the console, valid for 12 hours. It carries the
token of a new key behind "#", so no server and no log sees it. To end it
earlier, revoke the key.`,
		Example: `  hookwheel console
  hookwheel console --role reader --expires 1h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role != "admin" && role != "reader" {
				return usageErrorf("--role is %q: the console needs admin or reader", role)
			}
			in := struct {
				Name   string `json:"name"`
				Role   string `json:"role"`
				Expiry int64  `json:"expiry"`
			}{"console", role, int64(time.Duration(expires) / time.Second)}
			var key keyView
			if err := c.call(cmd.Context(), "POST", "/key", in, &key); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Created %s (%s, %s). Open this link in a browser:\n", key.ID, key.Name, key.Role)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), consoleLink(c.urls[c.current], key.Token))
			return err
		},
	}
	c.addFlags(cmd)
	cmd.Flags().StringVar(&role, "role", "admin", "`role`: admin, or reader, who changes nothing and sees no secrets")
	cmd.Flags().Var(&expires, "expires", "how long the link is valid, such as 1h or 7d, at least 1m")
	return cmd
}

// consoleLink returns the link that signs in with a token.
func consoleLink(url, token string) string {
	return strings.TrimRight(url, "/") + "/console#key=" + token
}
