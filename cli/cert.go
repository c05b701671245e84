package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/certs"
	"hookwheel/config"
)

const (
	caDays   = 3650
	nodeDays = 397 // what browsers accept at most
)

func newCertCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Make the certificates with which nodes know each other",
		Long: `Make the certificates with which nodes know each other: one CA for the cluster, and for each node a certificate that is
for the DNS name that is the node's id. "cert api" makes one for HTTPS, which can't act as a node. Any other tool that makes such certificates will do as well.

A running node reads its certificate again when the file changes. To change the CA without a stop: append the new CA to
ca.pem on each node, then replace the nodes' certificates, then take the old CA out.`,
		Example: `  hookwheel cert ca --out certs
  hookwheel cert node n1 n2 n3 --ca certs --out certs
  hookwheel cert api --host hooks.example.com --host 10.0.0.1 --ca certs --out certs`,
	}
	cmd.AddCommand(newCertCA(), newCertNode(), newCertAPI())
	return cmd
}

func newCertCA() *cobra.Command {
	var out string
	var days int
	cmd := &cobra.Command{
		Use:   "ca --out DIR",
		Short: "Make a CA, once for each cluster",
		Long: `Make a CA, once for each cluster: ` + certs.CAFile + `, which every node needs, and ` + certs.CAKeyFile + `, which no node needs: keep that where only you
can read it. Whoever has it can make a node of the cluster. Files that are there already are never overwritten.`,
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
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s (keep it secret; nodes do not need it)\n\nNow a certificate for each node:\n  hookwheel cert node n1 n2 n3 --ca %s --out %[3]s\n",
				filepath.Join(out, certs.CAFile), filepath.Join(out, certs.CAKeyFile), out)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "certs", "folder for the files, made if it is not there")
	cmd.Flags().IntVar(&days, "days", caDays, "how long it is valid")
	return cmd
}

func newCertNode() *cobra.Command {
	var o nodeCertOptions
	cmd := &cobra.Command{
		Use:   "node ID… --ca DIR --out DIR",
		Short: "Make a certificate for each of the nodes, signed by the CA",
		Long: `Make a certificate for each of the nodes, signed by the CA in the folder --ca: ID.pem and ID-key.pem. Give each node its own
two and a copy of ` + certs.CAFile + `. Files that are there already are never overwritten: to renew a certificate, make the new one in another
folder and move it over the old; the node need not be restarted.

With --host a certificate is also for that DNS name or IP address. For the API make one of its own, with "cert api".`,
		Example: `  hookwheel cert node n1 n2 n3 --ca certs --out certs
  hookwheel cert node n1 --ca certs --out renewed && mv renewed/n1-key.pem renewed/n1.pem certs/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) error { return o.run(cmd.OutOrStdout(), ids, time.Now()) },
	}
	o.flags(cmd)
	return cmd
}

func newCertAPI() *cobra.Command {
	o := nodeCertOptions{api: true}
	cmd := &cobra.Command{
		Use:   "api --host NAME… --ca DIR --out DIR",
		Short: "Make a certificate for HTTPS, signed by the CA",
		Long: `Make a certificate for HTTPS, signed by the CA in the folder --ca: api.pem and api-key.pem. It is for servers only, so whoever
has it can't act as a node. All nodes may share it if it is for all of their names. Clients must trust ` + certs.CAFile + `. Files that are there
already are never overwritten.`,
		Example: `  hookwheel cert api --host hooks.example.com --host 10.0.0.1 --ca certs --out certs`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.hosts) == 0 {
				return errors.New("--host is missing: the DNS name or IP address in the URLs of clients")
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
	flags.StringVar(&o.ca, "ca", "certs", "folder with the CA: "+certs.CAFile+" and "+certs.CAKeyFile)
	flags.StringVar(&o.out, "out", "certs", "folder for the files, made if it is not there")
	flags.StringArrayVar(&o.hosts, "host", nil, "further DNS name or IP address; may be given more than once")
	flags.IntVar(&o.days, "days", nodeDays, "how long they are valid, but no longer than the CA")
}

func (o *nodeCertOptions) run(out io.Writer, ids []string, now time.Time) error {
	var files []string
	seen := map[string]bool{}
	for _, id := range ids {
		if _, err := config.ParseID(id); err != nil {
			return fmt.Errorf("%q is no id of a node: it %w", id, err)
		}
		if seen[id] {
			return fmt.Errorf("%s is named twice", id)
		}
		seen[id] = true
		files = append(files, certs.CertFile(id), certs.KeyFile(id))
	}
	if seen["ca"] || seen["ca-key"] {
		return errors.New("a node can't be called ca or ca-key here: its files would have the names of the CA's")
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
		_, err = fmt.Fprintf(out, "\nWrite into the api block of the configuration:\n\n  tls {\n    cert = %q\n    key  = %q\n  }\n",
			filepath.Join(o.out, certs.CertFile("api")), filepath.Join(o.out, certs.KeyFile("api")))
		return err
	}
	_, err = fmt.Fprintf(out, "\nGive each node its own two files and a copy of %s, and write into the cluster block of its configuration,\nhere that of %s:\n\n%s\n",
		filepath.Join(o.ca, certs.CAFile), ids[0], certs.TLSBlock(o.out, ids[0], "  "))
	return err
}

func (o *nodeCertOptions) issue(authority *certs.Authority, id string, now time.Time) (certs.Pair, error) {
	if o.api {
		return authority.IssueServer(id, o.hosts, now, o.days)
	}
	return authority.Issue(id, o.hosts, now, o.days)
}
