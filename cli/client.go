package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/webhook"
)

const (
	clientTimeout = 30 * time.Second // for one call; a node holds a call for 10 s when there is no leader
	maxAnswer     = 16 << 20
)

// client speaks to the API of a running node.
type client struct {
	url   string
	token string
	ca    string // file; empty: the system's
	http  http.Client
}

// addFlags gives a command what it takes to reach a node.
func (c *client) addFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&c.url, "url", envOr("HOOKWHEEL_URL", "http://127.0.0.1:8071"), "any node's API; $HOOKWHEEL_URL changes the default")
	flags.StringVar(&c.token, "token", "", "token of the API (default $HOOKWHEEL_TOKEN, else read from "+tokenFile+")")
	flags.StringVar(&c.ca, "ca", "", "file with the CA that signed the API's certificate (default: those of the system)")
}

func envOr(name, other string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return other
}

// tokenFile is where "hookwheel dev" keeps the token that it makes.
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
		return errors.New("no token: give --token, set HOOKWHEEL_TOKEN, or start where " + tokenFile + " is")
	}
	*token = strings.TrimSpace(string(text))
	return err
}

// request makes a request; the caller closes the body of the answer, whose status is below 300.
func (c *client) request(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	var body io.Reader
	if in != nil {
		text, err := encodeBody(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+"/api/v1"+path, body)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	if err := errors.Join(findToken(&c.token), c.trust()); err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from %s: %w", c.url, err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, apiError(answer)
	}
	return answer, nil
}

// checkPath refuses names that cannot stand in a path: what is between here and the node may take them for something else.
func checkPath(path string) error {
	path, _, _ = strings.Cut(path, "?")
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%q can't be an id or a uid", segment)
		}
	}
	return nil
}

// verbatim is a JSON value that goes out byte for byte, as encoding/json does not.
type verbatim []byte

// encodeBody is JSON; fields may be verbatim.
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

// trust has the CA of --ca vouch for the nodes.
func (c *client) trust() error {
	if c.ca == "" || c.http.Transport != nil {
		return nil
	}
	text, err := os.ReadFile(c.ca)
	if err != nil {
		return fmt.Errorf("--ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("--ca: %s holds no certificate in PEM", c.ca)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	c.http.Transport = transport
	return nil
}

// apiError reads an error in the format of the API.
func apiError(answer *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
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
		return errors.New(strings.Join(faults, "; "))
	}
	return fmt.Errorf("%s: %s", answer.Status, text)
}

// call makes a request and decodes the answer into out, which may be nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	answer, err := c.request(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}
