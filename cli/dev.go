package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/node"
)

// peerPortOffset is how far from the API's port the one for the other nodes lies.
const peerPortOffset = 1000

// maxDevNodes is how many processes dev starts at most.
const maxDevNodes = 7

// devOptions are the flags of dev.
type devOptions struct {
	listen    string
	data      string
	token     string
	secret    string // of the cluster
	nodes     int
	noRestart bool
	version   string
	child     int // this process is that node of several, started by the parent
}

func newDevCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node, or a small cluster, to try things out",
		Long: `Run a node, or with --nodes a small cluster, to try things out. No configuration is needed, the data survives a
restart, and unlike a node under serve this one delivers to loopback addresses too.`,
		Example: `  hookwheel dev
  hookwheel dev --nodes 3                 a cluster of three processes; kill one and see
  hookwheel dev --listen 127.0.0.1:9000 --data /tmp/hw --token 0123456789abcdef`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			context.AfterFunc(ctx, stop) // a second ctrl-C ends the process at once
			o.version = cmd.Root().Version
			if o.child > 0 {
				return o.runChild(ctx)
			}
			return o.run(ctx, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8071", "address of the API; further nodes take the next ports")
	flags.StringVar(&o.data, "data", "./hookwheel-data", "data folder")
	flags.StringVar(&o.token, "token", "", "token of the API (default: made at the first start and kept in the data folder)")
	flags.IntVar(&o.nodes, "nodes", 1, "how many nodes, each a process of its own: 1, 3, 5 or 7")
	flags.BoolVar(&o.noRestart, "no-restart", false, "with --nodes: leave a node dead that was killed")
	flags.IntVar(&o.child, "child", 0, "")
	if err := flags.MarkHidden("child"); err != nil {
		panic(err)
	}
	return cmd
}

func (o *devOptions) run(ctx context.Context, out io.Writer) error {
	if o.nodes < 1 || o.nodes > maxDevNodes || o.nodes%2 == 0 {
		return fmt.Errorf("--nodes must be 1, 3, 5 or 7: an even number survives no more failures than one less")
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w", err)
	}
	if err := o.loadToken(); err != nil {
		return err
	}
	if o.nodes > 1 {
		return o.runCluster(ctx, out)
	}
	config, err := o.config(1)
	if err != nil {
		return err
	}
	return node.Run(ctx, config, o.version, func(n *node.Node) { o.greet(out, "http://"+n.Addr()) })
}

// writeToken makes a file that must be new: what lies there may be a link of somebody else.
func writeToken(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// loadToken reads the token that an earlier start made, or makes it.
func (o *devOptions) loadToken() error {
	if o.token != "" {
		return nil
	}
	var err error
	if o.token, err = o.kept("token", 16); err != nil {
		return fmt.Errorf("the token: %w, or give --token", err)
	}
	return nil
}

// kept is the random text of so many bytes, as hexadecimal digits, that an earlier start made and kept in a file, or a new one.
func (o *devOptions) kept(file string, bytes int) (string, error) {
	path := filepath.Join(o.data, file)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		random := make([]byte, bytes)
		rand.Read(random) // never fails
		text = []byte(hex.EncodeToString(random))
		err = writeToken(path, text)
	}
	if err != nil {
		return "", err
	}
	kept := strings.TrimSpace(string(text))
	if kept == "" {
		return "", fmt.Errorf("the file %s is empty: remove it", path)
	}
	return kept, nil
}

// config is that of the node-th node, counted from 1.
func (o *devOptions) config(node int) (config.Config, error) {
	c := config.Default()
	host, port, err := splitAddress(o.listen)
	if err != nil {
		return c, err
	}
	c.Node = "n" + strconv.Itoa(node)
	c.Data = o.data
	if o.nodes > 1 {
		c.Data = o.dataOf(node)
	}
	c.LogLevel = slog.LevelWarn
	c.API.Token = o.token
	c.API.Listen = nodeAddress(host, port, node)
	c.API.Drain = 0 // no load balancer watches it, but somebody who has pressed ctrl-C
	c.Delivery.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.Cluster.Peers = nil
	for peer := 1; peer <= o.nodes; peer++ {
		c.Cluster.Peers = append(c.Cluster.Peers, config.Peer{ID: "n" + strconv.Itoa(peer), Address: peerAddress(host, port, peer)})
	}
	c.Cluster.Address = c.Cluster.Peers[node-1].Address
	if o.nodes > 1 {
		c.Cluster.Listen = c.Cluster.Address
		c.Cluster.Secret = o.secret
	}
	return c, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("--listen %q is no address such as 127.0.0.1:8071", address)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535-peerPortOffset-maxDevNodes {
		return "", 0, fmt.Errorf("--listen %q: the port must be a number from 0 to %d", address, 65535-peerPortOffset-maxDevNodes)
	}
	return host, port, nil
}

// nodeAddress is where the API of a node listens; port 0 picks a free one.
func nodeAddress(host string, port, node int) string {
	if port > 0 {
		port += node - 1
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// peerAddress is where a node listens for the others: always on loopback, for dev has no TLS between nodes.
func peerAddress(_ string, port, node int) string {
	if port > 0 {
		port += peerPortOffset + node - 1
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// greet shows a newcomer what to do next.
func (o *devOptions) greet(out io.Writer, url string) {
	fmt.Fprintf(out, `
Hookwheel is running.

  URL     %[1]s
  Token   %[2]s
  Data    %[3]s

Three commands to try. The receiver is the node's own health check, which says 204 to anything.

1. An application with an endpoint:

curl -sS -X POST '%[1]s/api/v1/app?get_if_exists=true' -H 'Authorization: Bearer %[2]s' -d '{"name": "Demo", "uid": "demo"}' && echo &&
curl -sS -X POST '%[1]s/api/v1/app/demo/endpoint' -H 'Authorization: Bearer %[2]s' -d '{"uid": "first", "url": "%[1]s/api/v1/health/ping"}' && echo

2. An event:

curl -sS -X POST '%[1]s/api/v1/app/demo/msg' -H 'Authorization: Bearer %[2]s' -d '{"eventType": "user.created", "payload": {"name": "Ada"}}' && echo

3. The attempts to deliver it:

curl -sS '%[1]s/api/v1/app/demo/attempt/endpoint/first' -H 'Authorization: Bearer %[2]s' && echo

`, url, o.token, o.data)
}
