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
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/node"
)

// peerPortOffset is added to the port of a node's API for the port at which other nodes reach it.
const peerPortOffset = 1000

// maxDevNodes is the maximum number of processes that dev starts.
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
	child     int // number of the node that this process is, started by the parent; 0: it is the parent
}

func newDevCommand(version string) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node, or a small cluster, to try things out",
		Long: `Run a node, or with --nodes a small cluster, to try things out. It needs no
configuration, its data survives a restart, and unlike a node under serve it
also delivers to loopback addresses.

It listens at --listen. With --nodes, further nodes take the following ports,
and all of them listen for each other at ports that are higher by 1000, on
loopback. A node that is killed is restarted after a second.`,
		Example: `  hookwheel dev

  # a cluster of three processes; kill one and see
  hookwheel dev --nodes 3

  hookwheel dev --listen 127.0.0.1:9000 --data /tmp/hw --token 0123456789abcdef`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.version = version
			tuneThreads(cmd)
			if o.child > 0 {
				return o.runChild(cmd.Context())
			}
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8071", "`address` of the API; further nodes take the next ports")
	flags.StringVar(&o.data, "data", "./hookwheel-data", "data `folder`")
	flags.StringVar(&o.token, "token", "", "API `token` (default: generated at the first start and stored in the data folder)")
	flags.IntVar(&o.nodes, "nodes", 1, "`number` of nodes, each a process of its own: 1, 3, 5 or 7")
	flags.BoolVar(&o.noRestart, "no-restart", false, "with --nodes: do not restart a node that was killed")
	flags.IntVar(&o.child, "child", 0, "")
	if err := flags.MarkHidden("child"); err != nil {
		panic(err)
	}
	return cmd
}

func (o *devOptions) run(ctx context.Context, out io.Writer) (err error) {
	if o.nodes < 1 || o.nodes > maxDevNodes || o.nodes%2 == 0 {
		return usageErrorf("--nodes must be 1, 3, 5 or 7: an even number survives no more failures than one less")
	}
	host, port, err := splitAddress(o.listen)
	if err != nil {
		return usageError(err)
	}
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("creating the data folder: %w", err)
	}
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := o.loadToken(); err != nil {
		return err
	}
	if o.nodes > 1 {
		return o.runCluster(ctx, host, port, out)
	}
	address := nodeAddress(host, port, 1)
	if err := portFree(address); err != nil {
		return err
	}
	fmt.Fprintf(out, "Starting a node: API at http://%s, data in %s. Ctrl-C stops it.\n", address, o.data)
	o.noteOtherData(out)
	return node.Run(ctx, o.config(host, port, 1), o.version, func(n *node.Node) { o.greet(out, "http://"+n.Addr()) })
}

// lock prevents a second dev in the same folder, which would change files of the first, such as
// those with the process ids of its nodes.
func (o *devOptions) lock() (unlock func() error, err error) {
	unlock, err = lockFolder(o.data)
	if errors.Is(err, errLocked) {
		err = fmt.Errorf("another hookwheel dev runs in %s: stop that one, or choose another folder with --data", o.data)
	}
	return unlock, err
}

// noteOtherData prints, for a user who has changed the number of nodes, where the data is that this
// run does not use.
func (o *devOptions) noteOtherData(out io.Writer) {
	single, cluster := storeFolder(o.data), o.dataOf(1)
	switch {
	case o.nodes > 1 && exists(single):
		fmt.Fprintf(out, "Note: %s also has the data of a single node, which this cluster does not use.\n", o.data)
	case o.nodes == 1 && exists(cluster):
		fmt.Fprintf(out, "Note: %s also has the data of a cluster (--nodes), which this node does not use.\n", o.data)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// writeToken creates a file that must not exist: an existing one may be someone else's link.
func writeToken(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// loadToken reads the token that an earlier start generated, or generates it.
func (o *devOptions) loadToken() error {
	if o.token != "" {
		return nil
	}
	var err error
	if o.token, err = o.kept("token", 16); err != nil {
		return fmt.Errorf("the token: %w, or use --token", err)
	}
	return nil
}

// kept returns random bytes as hexadecimal digits, which an earlier start stored in a file;
// otherwise it generates and stores them. In a folder that several users can write to, such as
// /tmp, another one may have put the file, or a link, there to know what it contains.
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
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if owner, known := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || known && int(owner.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is a link or belongs to another user, who may know what it contains: remove it, or choose another --data", path)
	}
	return kept, nil
}

// config returns the configuration of a node; the first is 1.
func (o *devOptions) config(host string, port, node int) config.Config {
	c := config.Default()
	c.Node = "n" + strconv.Itoa(node)
	c.Data = o.data
	if o.nodes > 1 {
		c.Data = o.dataOf(node)
	}
	c.LogLevel = slog.LevelWarn
	c.API.Token = o.token
	c.API.Pprof = true // so that bench can ask for a garbage collection
	c.API.Listen = nodeAddress(host, port, node)
	c.API.Drain = 0 // no load balancer needs to notice, but a user who has pressed Ctrl-C waits
	c.Delivery.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	c.Cluster.Peers = nil
	for peer := 1; peer <= o.nodes; peer++ {
		c.Cluster.Peers = append(c.Cluster.Peers, config.Peer{ID: "n" + strconv.Itoa(peer), Address: peerAddress(port, peer)})
	}
	c.Cluster.Address = c.Cluster.Peers[node-1].Address
	if o.nodes > 1 {
		c.Cluster.Listen = c.Cluster.Address
		c.Cluster.Secret = o.secret
	}
	return c
}

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("--listen %q: expected host:port, for example 127.0.0.1:8071", address)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535-peerPortOffset-maxDevNodes {
		return "", 0, fmt.Errorf("--listen %q: the port must be a number from 0 to %d", address, 65535-peerPortOffset-maxDevNodes)
	}
	return host, port, nil
}

// nodeAddress returns where the API of a node listens; port 0 picks a free one.
func nodeAddress(host string, port, node int) string {
	if port > 0 {
		port += node - 1
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// peerAddress returns where a node listens for others: on loopback, because it uses no TLS.
func peerAddress(port, node int) string {
	if port > 0 {
		port += peerPortOffset + node - 1
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// greet tells a newcomer what to do next.
func (o *devOptions) greet(out io.Writer, url string) {
	fmt.Fprintf(out, `
Hookwheel is running.

  URL      %[1]s
  Token    %[2]s
  Data     %[3]s
  Console  %[4]s

Three commands to try. The receiver is the node's own health check, which returns 204
for any request.

1. Create an application with an endpoint:

curl -sS -X POST '%[1]s/api/v1/app?get_if_exists=true' -H 'Authorization: Bearer %[2]s' -d '{"name": "Demo", "uid": "demo"}' && echo &&
curl -sS -X POST '%[1]s/api/v1/app/demo/endpoint' -H 'Authorization: Bearer %[2]s' -d '{"uid": "first", "url": "%[1]s/api/v1/health/ping"}' && echo

2. Send an event:

curl -sS -X POST '%[1]s/api/v1/app/demo/msg' -H 'Authorization: Bearer %[2]s' -d '{"eventType": "user.created", "payload": {"name": "Ada"}}' && echo

3. List the attempts to deliver it:

curl -sS '%[1]s/api/v1/app/demo/attempt/endpoint/first' -H 'Authorization: Bearer %[2]s' && echo

`, url, o.token, o.data, consoleLink(url, o.token))
}
