package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/config"
	"hookwheel/config/certs"
)

const healthTimeout = 5 * time.Second

func newHealthCommand() *cobra.Command {
	var path, url string
	cmd := &cobra.Command{
		Use:   "health [--config FILE]",
		Short: "Check that the node on this machine can serve",
		Long: `Check that the node on this machine can serve: it responds, its cluster has a
leader, and it is not about to stop. The command finds the node by its
configuration, as "hookwheel serve" does, and needs no token. Containers use it
as their health check; for the state of all nodes see "hookwheel cluster
status".`,
		Example: `  hookwheel health --config /etc/hookwheel.hcl
  hookwheel health --url http://127.0.0.1:8071`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, base, err := healthClient(path, url)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			return checkHealth(ctx, cmd.OutOrStdout(), client, base)
		},
	}
	addConfigFlag(cmd, &path)
	cmd.Flags().StringVar(&url, "url", "", "`URL` of a node, instead of the one that is configured")
	cmd.MarkFlagsMutuallyExclusive("config", "url")
	return cmd
}

// healthClient returns a client of the node at url or, if that is empty, of the configured one.
func healthClient(path, url string) (client *http.Client, base string, err error) {
	if url != "" {
		base, err = baseURL(url)
		return http.DefaultClient, base, err
	}
	c, err := config.Load(path)
	if err != nil {
		return nil, "", fmt.Errorf("%w\nThe configuration says where the node is; --url names one without it", err)
	}
	base = "http://" + c.API.Listen
	if c.API.TLS != (certs.Files{}) {
		base = "https://" + c.API.Listen
	}
	transport := &http.Transport{
		// An address without a host is one of this machine for net.Dial, but not for URLs.
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.API.Listen)
		},
		// The certificate is for the names that clients use. Nothing secret is sent.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	return &http.Client{Transport: transport}, base, nil
}

// checkHealth prints the health of a node, which is an error if the node can't serve.
func checkHealth(ctx context.Context, out io.Writer, client *http.Client, base string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/health", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return &exitError{newConnectionError(base, err), exitNoConnection}
	}
	defer response.Body.Close()
	var health struct{ Status, Node, State string }
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(text, &health)
	}
	if err != nil || health.Status == "" {
		return errors.Join(fmt.Errorf("%s responds with %s, and not as a node does", base, response.Status), err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("node %s can't serve: %s", health.Node, health.Status)
	}
	_, err = fmt.Fprintf(out, "node %s, %s: %s\n", health.Node, health.State, health.Status)
	return err
}
