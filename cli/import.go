package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hookwheel/cli/migrate"
)

// importToken is the environment variable with the token of the service to copy from.
const importToken = "HOOKWHEEL_IMPORT_TOKEN"

// importer is what the commands that import have in common.
type importer struct {
	source string // the command's name
	url    string
	token  string
	tokens string // file
	only   []string
	report string // file

	project string // of Convoy

	to        client
	toTokens  string // file
	dryRun    bool
	update    bool
	newSource func(i *importer, say func(string)) (migrate.Source, error)
}

func newImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Copy applications, event types and endpoints from another service",
		Long: `Copy applications, event types and endpoints, with their secrets and headers,
from another service to a Hookwheel node. Messages are not copied, nothing is
deleted, and the other service is only read. An import may be run again: what
has been copied is found by its uid and left unchanged.`,
		Example: `  hookwheel import svix --url https://api.eu.svix.com --token-file svix.token \
      --dry-run`,
	}
	cmd.AddCommand(newSvixImport(), newConvoyImport(), newOutpostImport())
	return cmd
}

func newSvixImport() *cobra.Command {
	return (&importer{source: "svix", newSource: func(i *importer, say func(string)) (migrate.Source, error) {
		return migrate.NewSvix(i.url, i.token, i.only, say)
	}}).command(&cobra.Command{
		Use:   "svix",
		Short: "Copy from Svix, in the cloud or your own",
		Long: `Copy from Svix, in the cloud or your own, or from another Hookwheel cluster.
An application or endpoint without a uid gets its id there as its uid here, so
that code which uses the id continues to work.

Svix does not show the values of headers such as Authorization, nor the private
half of asymmetric keys, and Hookwheel has no transformations. Endpoints with
these are copied as disabled, and reported.

The exit code is 1 if anything was skipped, or if the import ended early.`,
		Example: `  export HOOKWHEEL_IMPORT_TOKEN=... # of Svix
  hookwheel import svix --url https://api.eu.svix.com --dry-run
  hookwheel import svix --url https://api.eu.svix.com --report report.json
  hookwheel import svix --url https://api.eu.svix.com --app acme --update`,
	}, "`applications` to copy, by id or uid (default: all)")
}

func newConvoyImport() *cobra.Command {
	i := &importer{source: "convoy", newSource: func(i *importer, say func(string)) (migrate.Source, error) {
		return migrate.NewConvoy(i.url, i.token, i.project, i.only, say)
	}}
	cmd := i.command(&cobra.Command{
		Use:   "convoy",
		Short: "Copy the endpoints of a project of Convoy",
		Long: `Copy the event types, endpoints and subscriptions of a project of Convoy. Each
owner of endpoints becomes an application with the owner's id as its uid; an
endpoint without an owner gets an application of its own.

Convoy's signatures are not those of Standard Webhooks, so endpoints are copied
as disabled, with their secrets, until their receivers verify what Hookwheel
sends. The report says what else is not as before.`,
		Example: `  export HOOKWHEEL_IMPORT_TOKEN=... # an API key of the project
  hookwheel import convoy --url https://us.getconvoy.cloud/api \
      --project 01HV1V3N1XEWRGZKTX4YHKTMDC --dry-run`,
	}, "`owners` whose endpoints to copy (default: all)")
	cmd.Flags().StringVar(&i.project, "project", "", "`id` of the project (required)")
	return cmd
}

func newOutpostImport() *cobra.Command {
	return (&importer{source: "outpost", newSource: func(i *importer, say func(string)) (migrate.Source, error) {
		return migrate.NewOutpost(i.url, i.token, i.only, say)
	}}).command(&cobra.Command{
		Use:   "outpost",
		Short: "Copy tenants and webhook destinations of Outpost",
		Long: `Copy the topics, tenants and webhook destinations of Outpost as event types,
applications and endpoints. Other destinations are skipped.

Outpost in its mode "standard" signs as Hookwheel does. Destinations that are
signed otherwise are copied as disabled, with their secrets, until their
receivers verify what Hookwheel sends. So are those with a filter.`,
		Example: `  export HOOKWHEEL_IMPORT_TOKEN=... # the admin API key of Outpost
  hookwheel import outpost --url https://outpost.example.com --dry-run
  hookwheel import outpost --url https://outpost.example.com --app acme`,
	}, "`tenants` to copy, by id (default: all)")
}

// command completes a command that imports. only describes the flag that chooses what to copy.
func (i *importer) command(cmd *cobra.Command, only string) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return i.run(cmd) }
	flags := cmd.Flags()
	flags.StringVar(&i.url, "url", "", "`URL` of the service to copy from (required)")
	flags.StringVar(&i.token, "token", "", "its API `token`, which other users of this machine can see; better use --token-file or $"+importToken)
	flags.StringVar(&i.tokens, "token-file", "", "`file` with its API token")
	flags.StringSliceVar(&i.only, "app", nil, only)
	flags.BoolVar(&i.dryRun, "dry-run", false, "change nothing, and show what would be done")
	flags.BoolVar(&i.update, "update", false, "change what differs here to what the other service has")
	flags.StringVar(&i.report, "report", "", "write all results to this `file` as JSON")
	given := strings.Split(envOr("HOOKWHEEL_URL", defaultURL), ",")
	flags.StringSliceVar(&i.to.urls, "to", given, "`URLs` of Hookwheel nodes, tried in turn; $HOOKWHEEL_URL sets the default")
	flags.StringVar(&i.to.token, "to-token", "", "API `token` of Hookwheel (default $HOOKWHEEL_TOKEN, else the content of "+tokenFile+")")
	flags.StringVar(&i.toTokens, "to-token-file", "", "`file` with the API token of Hookwheel")
	flags.StringVar(&i.to.ca, "to-ca", "", "`file` with the CA of the nodes' certificates (default: the system's)")
	return cmd
}

// findTokens reads the tokens from where they are given.
func (i *importer) findTokens() error {
	if i.url == "" {
		return usageErrorf("--url is missing: the URL of the service to copy from")
	}
	if err := readToken("--token-file", i.tokens, &i.token); err != nil {
		return err
	}
	if i.token == "" {
		i.token = os.Getenv(importToken)
	}
	if i.token == "" {
		return usageErrorf("no token of the service to copy from: use --token-file or set %s", importToken)
	}
	if err := readToken("--to-token-file", i.toTokens, &i.to.token); err != nil {
		return err
	}
	if err := findToken(&i.to.token); err != nil {
		return usageErrorf("no token of Hookwheel: use --to-token-file, set HOOKWHEEL_TOKEN, or run this in the folder that has %s", tokenFile)
	}
	return nil
}

// readToken reads a token from a file, if one is given.
func readToken(flag, file string, token *string) error {
	if file == "" {
		return nil
	}
	if *token != "" {
		return usageErrorf("%s: the token is also given as a flag", flag)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return usageErrorf("%s: %w", flag, err)
	}
	*token = strings.TrimSpace(string(text))
	if *token == "" || strings.ContainsAny(*token, "\r\n") {
		return usageErrorf("%s: %s must have the token and nothing else", flag, file)
	}
	return nil
}

// nodeAPI calls Hookwheel.
type nodeAPI struct{ *client }

func (n nodeAPI) Call(ctx context.Context, method, path string, in, out any) error {
	return n.call(ctx, method, path, in, out)
}

func (i *importer) run(cmd *cobra.Command) (err error) {
	if err := i.findTokens(); err != nil {
		return err
	}
	say := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), text) }
	source, err := i.newSource(i, say)
	if err != nil {
		return usageError(err)
	}
	var file io.Writer // not a nil *os.File
	if i.report != "" {
		opened, err := os.OpenFile(i.report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return usageErrorf("--report: %w", err)
		}
		defer func() { err = errors.Join(err, opened.Close()) }()
		file = opened
	}
	report, err := migrate.NewReport(i.source, i.url, i.dryRun, file)
	if err != nil {
		return err
	}
	cause := migrate.Run(cmd.Context(), source, nodeAPI{&i.to}, report, migrate.Options{DryRun: i.dryRun, Update: i.update, Say: say})
	err = report.Finish(cause)
	report.Print(cmd.OutOrStdout(), cause)
	if err := errors.Join(cause, err); err != nil {
		return err
	}
	if skipped := report.Skipped(); skipped > 0 {
		return fmt.Errorf("%d objects were skipped; see the report above", skipped)
	}
	return nil
}
