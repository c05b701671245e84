package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hookwheel/webhook"
)

const (
	clientTimeout = 30 * time.Second // of one call; without a leader a node responds after 10 s
	dialTimeout   = 5 * time.Second  // then the next node is tried
	maxResponse   = 16 << 20
	defaultURL    = "http://127.0.0.1:8071"
)

// client calls the API of running nodes.
type client struct {
	urls    []string // of nodes of one cluster
	current int      // index of the URL that is tried first
	token   string
	ca      string // file; empty: the system's
	http    http.Client
}

// addFlags adds the flags that say how to reach a node.
func (c *client) addFlags(cmd *cobra.Command) {
	c.addFlagsTo(cmd.PersistentFlags())
}

func (c *client) addFlagsTo(flags *pflag.FlagSet) {
	addURLFlag(flags, &c.urls)
	addTokenFlag(flags, &c.token)
	flags.StringVar(&c.ca, "ca", "", "`file` with the CA of the API's certificate (default: the system's)")
}

func addURLFlag(flags *pflag.FlagSet, urls *[]string) {
	given := strings.Split(envOr("HOOKWHEEL_URL", defaultURL), ",")
	flags.StringSliceVar(urls, "url", given, "`URLs` of nodes, tried in turn; $HOOKWHEEL_URL sets the default")
}

func addTokenFlag(flags *pflag.FlagSet, token *string) {
	flags.StringVar(token, "token", "",
		"API `token` (default $HOOKWHEEL_TOKEN, else the content of "+tokenFile+")")
}

func envOr(name, other string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return other
}

// tokenFile is where "hookwheel dev" keeps the token that it generates.
const tokenFile = "hookwheel-data/token"

// findToken falls back to the environment and then to the file of "hookwheel dev".
func findToken(token *string) error {
	if *token != "" {
		return nil
	}
	if *token = os.Getenv("HOOKWHEEL_TOKEN"); *token != "" {
		return nil
	}
	text, err := os.ReadFile(tokenFile)
	if errors.Is(err, fs.ErrNotExist) {
		return usageErrorf("no token: use --token, set HOOKWHEEL_TOKEN, or run this in the folder that has %s", tokenFile)
	}
	*token = strings.TrimSpace(string(text))
	return err
}

// baseURL returns the URL of a node in full: "localhost:8071" is short for
// "http://localhost:8071".
func baseURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return "", usageErrorf("--url %q: expected the URL of a node, for example %s", text, defaultURL)
	}
	return strings.TrimSuffix(text, "/"), nil
}

// request sends a request and returns a response with a status below 300, whose body the caller
// closes. If a node gives no response, the next one is tried: at most one of them executes a POST,
// because it has an idempotency key, but other changes are sent again only if the node can't have
// received them.
func (c *client) request(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	var body []byte
	if in != nil {
		var err error
		if body, err = encodeBody(in); err != nil {
			return nil, err
		}
	}
	header := make(http.Header)
	if method == http.MethodPost {
		header.Set("Idempotency-Key", rand.Text())
	}
	return c.exchange(ctx, method, path, header, body)
}

// exchange is request with a header, which has the idempotency key of a POST, and an encoded body.
func (c *client) exchange(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	if err := errors.Join(findToken(&c.token), c.connect()); err != nil {
		return nil, err
	}
	header.Set("Authorization", "Bearer "+c.token)
	var failures []error
	for range c.urls {
		response, err := c.send(ctx, method, path, header, body)
		if err == nil {
			return response, nil
		}
		var unreachable *connectionError
		if !errors.As(err, &unreachable) {
			return nil, err
		}
		failures = append(failures, err)
		if ctx.Err() != nil || !unreachable.unsent && method != http.MethodGet && method != http.MethodPost {
			break
		}
		c.current = (c.current + 1) % len(c.urls)
	}
	return nil, &exitError{errors.Join(failures...), exitNoConnection}
}

// send sends a request to the current node.
func (c *client) send(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	base, err := baseURL(c.urls[c.current%len(c.urls)])
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, usageErrorf("--url: %w", err)
	}
	request.Header = header.Clone()
	response, err := c.http.Do(request)
	if err != nil {
		return nil, newConnectionError(base, err)
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, apiError(response)
	}
	return response, nil
}

// connectionError says that a node gave no response.
type connectionError struct {
	node   string
	unsent bool // nothing of the request can have reached it
	err    error
}

func newConnectionError(node string, err error) *connectionError {
	var request *url.Error
	if errors.As(err, &request) { // which repeats the URL
		err = request.Err
	}
	var network *net.OpError
	return &connectionError{node, errors.As(err, &network) && network.Op == "dial", err}
}

func (e *connectionError) Error() string {
	text := fmt.Sprintf("no response from %s: %v", e.node, e.err)
	if e.unsent && e.node == defaultURL {
		text += `; is a node running? "hookwheel dev" starts one, --url names another`
	}
	return text
}

func (e *connectionError) Unwrap() error { return e.err }

// checkPath refuses names that can't be a segment of a path: a proxy on the way to the node may
// take them for something else.
func checkPath(path string) error {
	path, _, _ = strings.Cut(path, "?")
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return usageErrorf("%q can't be an id or a uid", segment)
		}
	}
	return nil
}

// verbatim is a JSON value that is sent byte for byte, which encoding/json does not do.
type verbatim []byte

// encodeBody returns JSON; fields may be verbatim.
func encodeBody(in any) ([]byte, error) {
	fields, ok := in.(map[string]any)
	if !ok {
		return json.Marshal(in)
	}
	text := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			text = append(text, ',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		value, exact := fields[name].(verbatim)
		if !exact {
			if value, err = json.Marshal(fields[name]); err != nil {
				return nil, err
			}
		}
		text = append(append(append(text, key...), ':'), value...)
	}
	return append(text, '}'), nil
}

// connect prepares the HTTP client, which trusts the CA of --ca.
func (c *client) connect() error {
	if c.http.Transport != nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	if c.ca != "" {
		text, err := os.ReadFile(c.ca)
		if err != nil {
			return usageErrorf("--ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return usageErrorf("--ca: %s has no certificate in PEM format", c.ca)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	c.http.Transport = transport
	return nil
}

// apiError reads an error in the format of the API.
func apiError(response *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	known := new(webhook.Error)
	if json.Unmarshal(text, known) == nil && known.Detail != "" {
		return known
	}
	var invalid struct {
		Detail []struct {
			Loc []string
			Msg string
		}
	}
	if json.Unmarshal(text, &invalid) == nil && len(invalid.Detail) > 0 {
		faults := make([]string, len(invalid.Detail))
		for i, d := range invalid.Detail {
			faults[i] = strings.Join(d.Loc, ".") + ": " + d.Msg
		}
		return &webhook.Error{Code: webhook.CodeInvalid, Detail: strings.Join(faults, "; ")}
	}
	return fmt.Errorf("%s: %s", response.Status, text)
}

// call sends a request and decodes the response into out, which may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	response, err := c.request(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}
