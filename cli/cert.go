package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/config/certs"
)

const (
	caDays   = 3650
	nodeDays = 397 // the maximum that browsers accept
)

func newCertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Create certificates for mutual TLS between nodes and for HTTPS",
		Long: `Create the certificates for mutual TLS between nodes: one CA for the cluster,
and for each node a certificate whose DNS name is the node's id. "cert api"
creates one for HTTPS, which can't act as a node. Certificates from any other
tool will do as well.

A running node reloads its certificate when the file changes. To change the CA
without downtime: append the new CA to ca.pem on each node, replace the nodes'
certificates, then remove the old CA.`,
		Example: `  hookwheel cert ca --out certs
  hookwheel cert node n1 n2 n3 --ca certs --out certs
  hookwheel cert api --host hooks.example.com --ca certs --out certs`,
	}
	cmd.AddCommand(newCertCA(), newCertNode(), newCertAPI())
	return cmd
}

func newCertCA() *cobra.Command {
	var out string
	var days int
	cmd := &cobra.Command{
		Use:   "ca --out DIR",
		Short: "Create a CA, once per cluster",
		Long: `Create a CA, once per cluster: ` + certs.CAFile + `, which every node needs, and ` + certs.CAKeyFile + `,
which no node needs: keep it where only you can read it, because whoever has it
can add nodes to the cluster. Existing files are never overwritten.`,
		Example: `  hookwheel cert ca --out certs`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := certs.NewCA(time.Now(), days)
			if err != nil {
				return err
			}
			if err := certs.WriteNew(out, made, certs.CAFile, certs.CAKeyFile); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s (keep it secret; nodes do not need it)\n\n"+
				"Next, create a certificate for each node:\n  hookwheel cert node n1 n2 n3 --ca %s --out %[3]s\n",
				filepath.Join(out, certs.CAFile), filepath.Join(out, certs.CAKeyFile), out)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "certs", "`folder` for the files, created if it does not exist")
	cmd.Flags().IntVar(&days, "days", caDays, "validity in `days`")
	return cmd
}

func newCertNode() *cobra.Command {
	var o nodeCertOptions
	cmd := &cobra.Command{
		Use:   "node NODE... --ca DIR --out DIR",
		Short: "Create a certificate for each of the nodes, signed by the CA",
		Long: `Create a certificate for each of the nodes, signed by the CA in the folder --ca:
ID.pem and ID-key.pem. Give each node its own two files and a copy of ` + certs.CAFile + `.
Existing files are never overwritten: to renew a certificate, create the new one
in another folder and move it over the old one; the node need not be restarted.

With --host the certificate is also valid for that DNS name or IP address. For
HTTPS, use "cert api".`,
		Example: `  hookwheel cert node n1 n2 n3 --ca certs --out certs
  hookwheel cert node n1 --ca certs --out renewed && mv renewed/n1*.pem certs/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error { return o.run(cmd.OutOrStdout(), ids, time.Now()) },
	}
	o.flags(cmd)
	return cmd
}

func newCertAPI() *cobra.Command {
	o := nodeCertOptions{api: true}
	cmd := &cobra.Command{
		Use:   "api --host NAME --ca DIR --out DIR",
		Short: "Create a certificate for HTTPS, signed by the CA",
		Long: `Create a certificate for HTTPS, signed by the CA in the folder --ca: api.pem and
api-key.pem. It is for servers only, so it can't be used to act as a node. All
nodes may share it if it has all of their names. Clients must trust ` + certs.CAFile + `.
Existing files are never overwritten.`,
		Example: `  hookwheel cert api --host hooks.example.com --ca certs --out certs`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.hosts) == 0 {
				return usageError(errors.New("--host is required: the DNS name or IP address in the URLs of clients"))
			}
			return o.run(cmd.OutOrStdout(), []string{"api"}, time.Now())
		},
	}
	o.flags(cmd)
	return cmd
}

// nodeCertOptions are the flags of "cert node".
type nodeCertOptions struct {
	ca    string
	out   string
	hosts []string
	days  int
	api   bool // for HTTPS, not for a node
}

func (o *nodeCertOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.ca, "ca", "certs", "`folder` with the CA: "+certs.CAFile+" and "+certs.CAKeyFile)
	flags.StringVar(&o.out, "out", "certs", "`folder` for the files, created if it does not exist")
	flags.StringArrayVar(&o.hosts, "host", nil, "additional DNS `name` or IP address; may be repeated")
	flags.IntVar(&o.days, "days", nodeDays, "validity in `days`, limited by that of the CA")
}

func (o *nodeCertOptions) run(out io.Writer, ids []string, now time.Time) error {
	var files []string
	seen := map[string]bool{}
	for _, id := range ids {
		if _, err := config.ParseID(id); err != nil {
			return usageErrorf("%q can't be the id of a node: it %w", id, err)
		}
		if seen[id] {
			return usageErrorf("%s is given twice", id)
		}
		seen[id] = true
		files = append(files, certs.CertFile(id), certs.KeyFile(id))
	}
	if seen["ca"] || seen["ca-key"] {
		return usageError(errors.New("a node can't be called ca or ca-key here: its files would have the names of the CA's"))
	}
	authority, err := certs.LoadCA(o.ca, now)
	if err != nil {
		return err
	}
	if err := certs.NoneExists(o.out, files...); err != nil { // before the first is written
		return err
	}
	for _, id := range ids {
		made, err := o.issue(authority, id, now)
		if err != nil {
			return err
		}
		if err := certs.WriteNew(o.out, made, certs.CertFile(id), certs.KeyFile(id)); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n%s\n", filepath.Join(o.out, certs.CertFile(id)), filepath.Join(o.out, certs.KeyFile(id)))
	}
	if o.api {
		_, err = fmt.Fprintf(out, "\nAdd this to the api block of the configuration:\n\n  tls {\n    cert = %q\n    key  = %q\n  }\n",
			filepath.Join(o.out, certs.CertFile("api")), filepath.Join(o.out, certs.KeyFile("api")))
		return err
	}
	_, err = fmt.Fprintf(out, "\nGive each node its own two files and a copy of %s, and add this to the cluster\nblock of its configuration, here for %s:\n\n%s\n",
		filepath.Join(o.ca, certs.CAFile), ids[0], certs.TLSBlock(o.out, ids[0], "  "))
	return err
}

func (o *nodeCertOptions) issue(authority *certs.Authority, id string, now time.Time) (certs.Pair, error) {
	if o.api {
		return authority.IssueServer(id, o.hosts, now, o.days)
	}
	return authority.Issue(id, o.hosts, now, o.days)
}
