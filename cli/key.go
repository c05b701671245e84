package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

// keyView is an API key as the API shows it.
type keyView struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Role          string     `json:"role"`
	ApplicationID *string    `json:"applicationId"`
	FeatureFlags  []string   `json:"featureFlags"`
	ReadOnly      bool       `json:"readOnly"`
	Capabilities  []string   `json:"capabilities"`
	SessionID     *string    `json:"sessionId"`
	CreatedAt     time.Time  `json:"createdAt"`
	ExpiresAt     *time.Time `json:"expiresAt"`
	LastUsed      *time.Time `json:"lastUsed"`
	Token         string     `json:"token,omitempty"`
}

func newKeyCommand() *cobra.Command {
	c := new(client)
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Create, list and revoke API keys; re-encrypt secrets",
		Long: `Create, list and revoke API keys. The token of a key is shown once, when it is
created; the nodes store only its hash.

Roles:
  admin        may do everything
  producer     may send messages, and create applications along with them
  reader       may read everything except secrets
  application  may read and change one application and its endpoints`,
		Example: `  hookwheel key create "order service" --role producer
  hookwheel key create "Acme's portal" --role application --app acme
  hookwheel key list
  hookwheel key revoke key_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5`,
	}
	c.addFlags(cmd)
	cmd.AddCommand(newKeyCreate(c), newKeyList(c), newKeyRevoke(c), newKeyRewrap(c))
	return cmd
}

func newKeyCreate(c *client) *cobra.Command {
	var (
		in struct {
			Name          string   `json:"name"`
			Role          string   `json:"role"`
			ApplicationID string   `json:"applicationId,omitempty"`
			FeatureFlags  []string `json:"featureFlags,omitempty"`
			ReadOnly      bool     `json:"readOnly,omitempty"`
			Capabilities  []string `json:"capabilities,omitempty"`
			Expiry        int64    `json:"expiry,omitempty"`
		}
		expires model.Duration
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Create a key and print its token, which is shown only once",
		Long: `Create a key and print its token, which is shown only once. Only the token goes
to standard output, so that it can be stored:

  TOKEN=$(hookwheel key create ci --role producer)`,
		Example: `  hookwheel key create "order service" --role producer
  hookwheel key create dashboards --role reader --json
  hookwheel key create "Acme's portal" --role application --app acme \
      --read-only --expires 30d`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name, in.Expiry = args[0], int64(time.Duration(expires)/time.Second)
			var key keyView
			if err := c.call(cmd.Context(), "POST", "/key", in, &key); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), key)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Created %s (%s, %s). This token is not shown again:\n", key.ID, key.Name, key.Role)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), key.Token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Role, "role", "", "`role`: admin, producer, reader or application")
	flags.StringVar(&in.ApplicationID, "app", "", "with --role application: the `application`'s id or uid")
	flags.StringSliceVar(&in.FeatureFlags, "feature-flag", nil, "with --role application: show event types with this `flag`")
	flags.BoolVar(&in.ReadOnly, "read-only", false, "with --role application: may read everything but secrets, and change nothing")
	flags.StringSliceVar(&in.Capabilities, "capability", nil, "with --role application: permit only this `capability`, such as ViewBase, which is always needed, or CreateAttempts")
	flags.Var(&expires, "expires", "how long the key is valid, such as 12h or 30d, at least 1m (default: until it is revoked)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	if err := cmd.MarkFlagRequired("role"); err != nil {
		panic(err)
	}
	return cmd
}

func newKeyList(c *client) *cobra.Command {
	var (
		asJSON bool
		app    string
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, oldest first, including those of portals",
		Example: `  hookwheel key list
  hookwheel key list --app acme
  hookwheel key list --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/key"
			if app != "" {
				path = "/auth/app/" + url.PathEscape(app) + "/token"
			}
			keys, err := c.allKeys(cmd, path)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), keys)
			}
			return printKeys(cmd.OutOrStdout(), keys)
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "list only the valid keys of this `application`, by id or uid")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// allKeys returns the keys of all pages of a list.
func (c *client) allKeys(cmd *cobra.Command, list string) (keys []keyView, err error) {
	keys = []keyView{}
	for iterator := ""; ; {
		var page struct {
			Data     []keyView
			Iterator string
			Done     bool
		}
		path := list + "?limit=250&iterator=" + url.QueryEscape(iterator)
		if err := c.call(cmd.Context(), "GET", path, nil, &page); err != nil {
			return nil, err
		}
		keys = append(keys, page.Data...)
		if page.Done {
			return keys, nil
		}
		iterator = page.Iterator
	}
}

func printKeys(out io.Writer, keys []keyView) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tNAME\tROLE\tAPPLICATION\tCREATED\tEXPIRES\tLAST USED")
	for _, k := range keys {
		app, role := "-", k.Role
		if k.ApplicationID != nil {
			app = *k.ApplicationID
		}
		switch {
		case k.ReadOnly:
			role += ", read-only"
		case len(k.Capabilities) > 0:
			role += ": " + strings.Join(k.Capabilities, ", ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, role, app, day(&k.CreatedAt), day(k.ExpiresAt), day(k.LastUsed))
	}
	return table.Flush()
}

func day(at *time.Time) string {
	if at == nil {
		return "never"
	}
	return at.Local().Format("2006-01-02 15:04")
}

func newKeyRevoke(c *client) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke KEY",
		Short:   "Revoke a key, immediately and on every node",
		Example: `  hookwheel key revoke key_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.done(cmd, "DELETE", "/key/"+url.PathEscape(args[0]), nil, "Key revoked.")
		},
	}
}

// printJSON prints JSON, indented.
func printJSON(out io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", printableJSON(text))
	}
	return err
}

func newKeyRewrap(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap",
		Short: "Encrypt all endpoint secrets with the first of encryption_keys",
		Long: `Encrypt the secrets of all endpoints with the first of encryption_keys: those
that are encrypted with another key, and those that are not encrypted.

To change the key: add the new one at the end of encryption_keys on all nodes
and restart them one by one; move it to the front and restart them again; run
this command; remove the old key. Backups and old log entries still need the old
key.`,
		Example: `  hookwheel key rewrap`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for total := 0; ; {
				var step struct{ Rewrapped, Remaining int }
				if err := c.call(cmd.Context(), "POST", "/cluster/rewrap", nil, &step); err != nil {
					return err
				}
				if total += step.Rewrapped; step.Remaining == 0 {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "Secrets of %d endpoints re-encrypted; none remain.\n", total)
					return err
				}
			}
		},
	}
}
