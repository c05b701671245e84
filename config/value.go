package config

// Parsers of the values in a configuration. Their errors complete a sentence that begins with the
// name of the key, and do not repeat the value.

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/common/model"
)

func parseFolder(text string) (string, error) {
	if text == "" {
		return "", errors.New("must name a folder")
	}
	return text, nil
}

func parseFile(text string) (string, error) {
	if text == "" {
		return "", errors.New("must name a file")
	}
	return text, nil
}

func parseBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, errors.New("must be true or false")
	}
	return text == "true", nil
}

func parseLogLevel(text string) (slog.Level, error) {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level, ok := levels[text]
	if !ok {
		return 0, errors.New(`must be "debug", "info", "warn" or "error"`)
	}
	return level, nil
}

// parseLogFormat reports whether the format is JSON.
func parseLogFormat(text string) (bool, error) {
	if text != "text" && text != "json" {
		return false, errors.New(`must be "text" or "json"`)
	}
	return text == "json", nil
}

// parseEncryptionKey requires a key that can't be guessed.
func parseEncryptionKey(text string) (string, error) {
	if len(text) < 32 {
		return "", errors.New("each must have at least 32 characters, for example from \"openssl rand -hex 32\"")
	}
	return text, nil
}

// parseSecret requires a value that can be sent in an HTTP header. A line break, perhaps from a
// file, would never compare equal.
func parseSecret(text string) (string, error) {
	odd := func(c rune) bool { return c <= ' ' || c > '~' }
	if len(text) < 16 || strings.ContainsFunc(text, odd) {
		return "", errors.New("must have at least 16 characters, all of them visible ASCII")
	}
	return text, nil
}

func parsePage(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		return "", errors.New(`must be the URL of a page, such as "https://webhooks.example.com/portal"`)
	}
	return text, nil
}

// parseOrigin requires an origin as browsers send it, because the two are compared as text.
func parseOrigin(text string) (string, error) {
	if text == "*" {
		return text, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isOriginHost(u) || text != u.Scheme+"://"+u.Host {
		return "", errors.New(`each must be an origin such as "https://app.example.com", in lower case and with nothing after the host, or "*" for all`)
	}
	if u.Port() == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		return "", errors.New("must not name the default port of its scheme, as browsers leave it out")
	}
	return text, nil
}

// isOriginHost reports whether the host and port of a URL are as a browser writes them.
func isOriginHost(u *url.URL) bool {
	host, port := u.Hostname(), u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || strconv.FormatUint(n, 10) != port) || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String() == host && ip.Zone() == ""
	}
	return hostPattern.MatchString(host) && strings.ToLower(host) == host
}

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// ParseID checks the id of a node.
func ParseID(text string) (string, error) {
	if !idPattern.MatchString(text) {
		return "", errors.New("must have 1 to 64 characters of a-z, 0-9 and -")
	}
	return text, nil
}

func idOfOne(peers []Peer) func(string) (string, error) {
	return func(text string) (string, error) {
		var ids []string
		for _, peer := range peers {
			if peer.ID == text {
				return text, nil
			}
			ids = append(ids, strconv.Quote(peer.ID))
		}
		return "", errors.New("must be one of the peers: " + strings.Join(ids, ", "))
	}
}

// parseListenAddress also allows all addresses of the machine (":8071") and a free port
// ("127.0.0.1:0").
func parseListenAddress(text string) (string, error) {
	host, _, ok := hostAndPort(text)
	if !ok || host != "" && !isHost(host) {
		return "", errors.New(`must be host:port or :port, such as "127.0.0.1:8071"`)
	}
	return text, nil
}

// parseMetrics parses the setting for metrics: whether they need a token, or their own address.
func parseMetrics(text string) (Metrics, error) {
	switch text {
	case "open":
		return Metrics{}, nil
	case "token":
		return Metrics{Token: true}, nil
	}
	address, err := parseListenAddress(text)
	if err != nil {
		return Metrics{}, errors.New(`must be "open", "token", or an address of their own, host:port or :port`)
	}
	return Metrics{Listen: address}, nil
}

// parsePeerAddress requires an address that others can connect to.
func parsePeerAddress(text string) (string, error) {
	host, port, ok := hostAndPort(text)
	ip, err := netip.ParseAddr(host)
	if !ok || port == 0 || !isHost(host) || err == nil && ip.IsUnspecified() {
		return "", errors.New(`must be a host:port that the other nodes can connect to, such as "10.0.0.1:9071"`)
	}
	return text, nil
}

func hostAndPort(text string) (host string, port uint64, ok bool) {
	host, digits, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.ParseUint(digits, 10, 16)
	return host, port, err == nil
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

func isHost(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || hostPattern.MatchString(host)
}

// parseNetwork refuses 10.1.2.3/8, which would allow far more than the one address that was perhaps
// meant. An IPv4 network in IPv6 form, such as ::ffff:10.0.0.0/104, becomes that IPv4 network,
// because addresses are compared in IPv4 form.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil || network != network.Masked() {
		return netip.Prefix{}, errors.New(`must be a network such as "10.0.0.0/8", or "10.1.2.3/32" for one address`)
	}
	if address := network.Addr(); address.Is4In6() { // the prefix has at least 96 bits, or the mask would have cleared some
		return address.Unmap().Prefix(network.Bits() - 96)
	}
	return network, nil
}

// parseAddressOrNetwork is parseNetwork, but accepts a single address, too.
func parseAddressOrNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := parseNetwork(text)
	if err != nil {
		err = errors.New(`must be an address or a network, such as "203.0.113.7" or "2001:db8:1::/48"`)
	}
	return network, err
}

// parseProxy accepts "" for none.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	proxy, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) || !isHost(proxy.Hostname()) ||
		strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" || proxy.Fragment != "" {
		return nil, errors.New(`must be the URL of a proxy (http, https, socks5 or socks5h), ` +
			`such as "http://user:password@proxy.example:3128"`)
	}
	return proxy, nil
}

// parseNoProxy accepts what the environment variable NO_PROXY may contain, except "*", with which
// there would be no proxy.
func parseNoProxy(text string) (string, error) {
	host := text
	if name, port, ok := hostAndPort(text); ok && port > 0 {
		host = name
	}
	if _, err := netip.ParsePrefix(text); err != nil && !isHost(host) {
		return "", errors.New(`each must be a name such as "example.com", which includes its subdomains, an address or a network`)
	}
	return text, nil
}

func intBetween(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return n, nil
	}
}

func numberBetween(low, high float64) func(string) (float64, error) {
	return func(text string) (float64, error) {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= low && n <= high) { // in this form, NaN is refused, too
			return 0, fmt.Errorf("must be a number from %v to %v", low, high)
		}
		return n, nil
	}
}

func durationBetween(low, high time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := model.ParseDuration(text)
		if err != nil || time.Duration(d) < low || time.Duration(d) > high {
			return 0, fmt.Errorf("must be a duration from %q to %q", model.Duration(low), model.Duration(high))
		}
		return time.Duration(d), nil
	}
}

func sizeBetween[N int | int64](low, high N) func(string) (N, error) {
	return func(text string) (N, error) {
		n, err := humanize.ParseBytes(text)
		if err != nil || n < uint64(low) || n > uint64(high) {
			return 0, fmt.Errorf("must be a size from %q to %q, or a number of bytes", formatSize(low), formatSize(high))
		}
		return N(n), nil
	}
}

// formatSize formats a limit, such as "1 MiB".
func formatSize[N int | int64](n N) string { return humanize.IBytesN(uint64(n), 1) }
