package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"text/tabwriter"
	"time"

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
	CreatedAt     time.Time  `json:"createdAt"`
	ExpiresAt     *time.Time `json:"expiresAt"`
	LastUsed      *time.Time `json:"lastUsed"`
	Token         string     `json:"token,omitempty"`
}

func newKeyCommand() *cobra.Command {
	c := new(client)
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Make, list and revoke API keys; encrypt secrets with a new key",
		Long: `Make, list and revoke API keys. The token of a key is shown once, when it is made; the nodes keep only a hash of it.

Roles: admin may do everything; producer may create messages, and applications along with them; reader sees all but
secrets; application sees and changes one application and its endpoints.`,
		Example: `  hookwheel key create "order service" --role producer
  hookwheel key create "Acme's portal" --role application --app acme --expires 720h
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
			Expiry        int64    `json:"expiry,omitempty"`
		}
		expires time.Duration
		asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Make a key and print its token, which is not shown again",
		Long: `Make a key and print its token, which is not shown again. The token goes to stdout, what is said about it to stderr, so that
  TOKEN=$(hookwheel key create ci --role producer)
keeps just the token.`,
		Example: `  hookwheel key create "order service" --role producer
  hookwheel key create dashboards --role reader --json
  hookwheel key create "Acme's portal" --role application --app acme --read-only --expires 720h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name, in.Expiry = args[0], int64(expires/time.Second)
			var key keyView
			if err := c.call(cmd.Context(), "POST", "/key", in, &key); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), key)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Made %s (%s, %s). Its token is shown only now:\n", key.ID, key.Name, key.Role)
			_, err := fmt.Fprintln(cmd.OutOrStdout(), key.Token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Role, "role", "", "admin, producer, reader or application")
	flags.StringVar(&in.ApplicationID, "app", "", "with --role application: its id or uid")
	flags.StringSliceVar(&in.FeatureFlags, "feature-flag", nil, "with --role application: shows event types that have this flag; may be repeated")
	flags.BoolVar(&in.ReadOnly, "read-only", false, "with --role application: sees all but secrets, and changes nothing")
	flags.DurationVar(&expires, "expires", 0, "how long the key is good, at least 1m (default: until it is revoked)")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	if err := cmd.MarkFlagRequired("role"); err != nil {
		panic(err)
	}
	return cmd
}

func newKeyList(c *client) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "All keys, the oldest first, those of portals included",
		Example: `  hookwheel key list
  hookwheel key list --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			keys, err := c.allKeys(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), keys)
			}
			return printKeys(cmd.OutOrStdout(), keys)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// allKeys reads page after page.
func (c *client) allKeys(cmd *cobra.Command) (keys []keyView, err error) {
	keys = []keyView{}
	for iterator := ""; ; {
		var page struct {
			Data     []keyView
			Iterator string
			Done     bool
		}
		if err := c.call(cmd.Context(), "GET", "/key?limit=250&iterator="+url.QueryEscape(iterator), nil, &page); err != nil {
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
		if k.ReadOnly {
			role += ", read-only"
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
		Short:   "End a key at once, on every node",
		Example: `  hookwheel key revoke key_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.done(cmd, "DELETE", "/key/"+url.PathEscape(args[0]), nil, args[0]+" is revoked.")
		},
	}
}

// printJSON is for programs, indented for people.
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
		Short: "Encrypt the secrets of all endpoints with the first of encryption_keys",
		Long: `Encrypt the secrets of all endpoints with the first of encryption_keys, those that are encrypted with another one or not at all.

To change the key, put the new one at the end of encryption_keys on all nodes and restart them one by one; then move it to the front on
all and restart them again; then run this, and take the old one out. Backups and old log entries still need the old one to be read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for total := 0; ; {
				var step struct{ Rewrapped, Remaining int }
				if err := c.call(cmd.Context(), "POST", "/cluster/rewrap", nil, &step); err != nil {
					return err
				}
				if total += step.Rewrapped; step.Remaining == 0 {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "The secrets of %d endpoints are encrypted anew; there are no others to do.\n", total)
					return err
				}
			}
		},
	}
}
