package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	caDays   = 3650
	nodeDays = 397       // what browsers accept at most
	certSkew = time.Hour // certificates begin that long ago, for clocks differ
)

// The names of the files.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
)

func certFile(node string) string { return node + ".pem" }
func keyFile(node string) string  { return node + "-key.pem" }

// tlsBlock is what to write into the cluster block of a node whose files are in dir.
func tlsBlock(dir, node, indent string) string {
	return fmt.Sprintf("%[1]stls {\n%[1]s  ca   = %[2]q\n%[1]s  cert = %[3]q\n%[1]s  key  = %[4]q\n%[1]s}", indent,
		filepath.Join(dir, caFile), filepath.Join(dir, certFile(node)), filepath.Join(dir, keyFile(node)))
}

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
		Long: `Make a CA, once for each cluster: ` + caFile + `, which every node needs, and ` + caKeyFile + `, which no node needs: keep that where only you
can read it. Whoever has it can make a node of the cluster. Files that are there already are never overwritten.`,
		Example: `  hookwheel cert ca --out certs`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			made, err := newCA(time.Now(), days)
			if err != nil {
				return err
			}
			if err := writeNew(out, made, caFile, caKeyFile); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s (keep it secret; nodes do not need it)\n\nNow a certificate for each node:\n  hookwheel cert node n1 n2 n3 --ca %s --out %[3]s\n",
				filepath.Join(out, caFile), filepath.Join(out, caKeyFile), out)
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
two and a copy of ` + caFile + `. Files that are there already are never overwritten: to renew a certificate, make the new one in another
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
has it can't act as a node. All nodes may share it if it is for all of their names. Clients must trust ` + caFile + `. Files that are there
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
	flags.StringVar(&o.ca, "ca", "certs", "folder with the CA: "+caFile+" and "+caKeyFile)
	flags.StringVar(&o.out, "out", "certs", "folder for the files, made if it is not there")
	flags.StringArrayVar(&o.hosts, "host", nil, "further DNS name or IP address; may be given more than once")
	flags.IntVar(&o.days, "days", nodeDays, "how long they are valid, but no longer than the CA")
}

func (o *nodeCertOptions) run(out io.Writer, ids []string, now time.Time) error {
	var files []string
	seen := map[string]bool{}
	for _, id := range ids {
		if _, err := parseID(id); err != nil {
			return fmt.Errorf("%q is no id of a node: it %w", id, err)
		}
		if seen[id] {
			return fmt.Errorf("%s is named twice", id)
		}
		seen[id] = true
		files = append(files, certFile(id), keyFile(id))
	}
	if seen["ca"] || seen["ca-key"] {
		return errors.New("a node can't be called ca or ca-key here: its files would have the names of the CA's")
	}
	authority, err := loadCA(o.ca, now)
	if err != nil {
		return err
	}
	if err := noneExists(o.out, files...); err != nil { // before the first is written
		return err
	}
	for _, id := range ids {
		made, err := authority.issue(id, o, now)
		if err != nil {
			return err
		}
		if err := writeNew(o.out, made, certFile(id), keyFile(id)); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n%s\n", filepath.Join(o.out, certFile(id)), filepath.Join(o.out, keyFile(id)))
	}
	if o.api {
		_, err = fmt.Fprintf(out, "\nWrite into the api block of the configuration:\n\n  tls {\n    cert = %q\n    key  = %q\n  }\n",
			filepath.Join(o.out, certFile("api")), filepath.Join(o.out, keyFile("api")))
		return err
	}
	_, err = fmt.Fprintf(out, "\nGive each node its own two files and a copy of %s, and write into the cluster block of its configuration,\nhere that of %s:\n\n%s\n",
		filepath.Join(o.ca, caFile), ids[0], tlsBlock(o.out, ids[0], "  "))
	return err
}

// madeCert is a certificate and its key, in PEM.
type madeCert struct{ cert, key []byte }

// authority signs.
type authority struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

func newCA(now time.Time, days int) (madeCert, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Hookwheel CA of " + now.UTC().Format("2006-01-02")},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs nodes, not other CAs
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return makeCert(template, nil, now, days)
}

// issue makes a certificate for a node and further hosts, or one for HTTPS, which is for those hosts only.
func (a *authority) issue(id string, o *nodeCertOptions, now time.Time) (madeCert, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: id},
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if !o.api {
		template.DNSNames = []string{id}
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, host := range o.hosts {
		ip := net.ParseIP(host)
		switch {
		case ip != nil:
			template.IPAddresses = append(template.IPAddresses, ip)
		case hostPattern.MatchString(strings.TrimPrefix(host, "*.")):
			template.DNSNames = append(template.DNSNames, host)
		default:
			return madeCert{}, fmt.Errorf("--host %q is neither a DNS name nor an IP address: give it without scheme and port", host)
		}
	}
	return makeCert(template, a, now, o.days)
}

// makeCert makes a key and its certificate, signed by itself if there is no authority.
func makeCert(template *x509.Certificate, a *authority, now time.Time, days int) (madeCert, error) {
	if days < 1 || days > 100*365 {
		return madeCert{}, errors.New("--days must be from 1 to 36500")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return madeCert{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return madeCert{}, err
	}
	template.NotBefore, template.NotAfter = now.Add(-certSkew), now.AddDate(0, 0, days)
	if a == nil {
		a = &authority{template, key}
	} else if a.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return madeCert{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return madeCert{}, err
	}
	return madeCert{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// loadCA reads what newCA made, or the like of it.
func loadCA(dir string, now time.Time) (*authority, error) {
	file, key := filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile)
	pair, err := tls.LoadX509KeyPair(file, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no CA in %s: make one with `hookwheel cert ca --out %[1]s`, or name its folder with --ca (%w)", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the CA %s and its key %s: %w", file, key, err)
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is the certificate of a node, not of a CA", file)
	}
	if err := validAt(pair.Leaf, file, now); err != nil {
		return nil, err
	}
	return &authority{pair.Leaf, pair.PrivateKey}, nil
}

// noneExists sees to it that nothing would be overwritten.
func noneExists(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is there already and is not overwritten: choose another folder with --out, or move it away", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// writeNew writes a certificate and its key to files that must be new.
func writeNew(dir string, made madeCert, cert, key string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := noneExists(dir, cert, key); err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(dir, key), made.key, 0o600), writeFile(filepath.Join(dir, cert), made.cert, 0o644))
}

func writeFile(path string, text []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}
