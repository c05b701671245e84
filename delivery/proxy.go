package delivery

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/net/proxy"
)

// maxProxyResponse is how many bytes a proxy may send before the tunnel begins.
const maxProxyResponse = 16 << 10

// proxyFunc returns a function that returns the proxy for a target, or nil. The rules of noProxy
// are those of the environment variable NO_PROXY, by which loopback addresses are never reached
// through a proxy.
func proxyFunc(through *url.URL, noProxy []string) func(*url.URL) (*url.URL, error) {
	if through == nil {
		return func(*url.URL) (*url.URL, error) { return nil, nil }
	}
	config := httpproxy.Config{HTTPProxy: through.String(), HTTPSProxy: through.String(), NoProxy: strings.Join(noProxy, ",")}
	return config.ProxyFunc()
}

// proxyAnswer is what a proxy did instead of opening a tunnel. It may be about the receiver, so it
// is shown to customers.
type proxyError string

func (a proxyError) Error() string { return string(a) }

func proxyAddress(p *url.URL) string {
	port := p.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[p.Scheme]
	}
	if port == "" {
		port = "1080" // SOCKS, RFC 1928
	}
	return net.JoinHostPort(p.Hostname(), port)
}

// throughProxy opens a tunnel to address over a connection to the proxy. Closing the connection
// ends it.
func (d *dialer) throughProxy(ctx context.Context, c net.Conn, p *url.URL, address string) (net.Conn, error) {
	if p.Scheme == "https" {
		secure := tls.Client(c, &tls.Config{ServerName: p.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: d.roots})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		c = secure
	}
	var err error
	if strings.HasPrefix(p.Scheme, "socks5") {
		c, err = throughSOCKS(ctx, c, p, address)
	} else {
		err = throughCONNECT(c, p.User, address)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, proxyError("closed the connection")
	}
	return c, err
}

// throughCONNECT opens a tunnel with CONNECT (RFC 9110, section 9.3.6).
func throughCONNECT(c net.Conn, user *url.Userinfo, address string) error {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return err
	}
	reader := bufio.NewReader(io.LimitReader(c, maxProxyResponse))
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	switch {
	case err != nil:
		return err
	case response.StatusCode == http.StatusProxyAuthRequired:
		return errors.New("it requires a different user or password")
	case response.StatusCode != http.StatusOK:
		return proxyError(fmt.Sprintf("answered %d %s", response.StatusCode, http.StatusText(response.StatusCode)))
	case reader.Buffered() > 0:
		return errors.New("it sent data after its response to CONNECT")
	}
	return nil
}

// throughSOCKS opens a tunnel with SOCKS 5 (RFC 1928 and 1929).
func throughSOCKS(ctx context.Context, c net.Conn, p *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if p.User != nil {
		password, _ := p.User.Password()
		auth = &proxy.Auth{User: p.User.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", proxyAddress(p), auth, existing{c})
	if err != nil {
		return nil, err
	}
	tunnel, err := dialer.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
	if err != nil {
		if reply, ok := strings.CutPrefix(inner(err).Error(), "unknown error "); ok { // the library's prefix for a reply
			err = proxyError("answered: " + reply)
		}
		return nil, err
	}
	return tunnel, nil
}

// existing is a dialer that returns an existing connection.
type existing struct{ net.Conn }

func (e existing) Dial(string, string) (net.Conn, error) { return e.Conn, nil }

func (e existing) DialContext(context.Context, string, string) (net.Conn, error) { return e.Conn, nil }
