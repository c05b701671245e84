package config

// How the values of the configuration are written. The errors complete a sentence that begins with the name of the key, and
// do not repeat the value.

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
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

// parseEncryptionKey wants something that can't be guessed.
func parseEncryptionKey(text string) (string, error) {
	if len(text) < 32 {
		return "", errors.New("each must be at least 32 characters, such as \"openssl rand -hex 32\" makes them")
	}
	return text, nil
}

// parseSecret wants what can travel in an HTTP header. A line end, say from a file, would never compare equal.
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

var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

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

// parseListenAddress allows what stands for all addresses of the machine (":8071") and for a free port ("127.0.0.1:0").
func parseListenAddress(text string) (string, error) {
	host, _, ok := hostAndPort(text)
	if !ok || host != "" && !isHost(host) {
		return "", errors.New(`must be host:port or :port, such as "127.0.0.1:8071"`)
	}
	return text, nil
}

// parsePeerAddress wants an address that others can connect to.
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

// parseNetwork refuses 10.1.2.3/8: it would open far more than the one address that was perhaps meant. An IPv4 network in IPv6 form,
// such as ::ffff:10.0.0.0/104, is that network: addresses are compared in IPv4 form.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil || network != network.Masked() {
		return netip.Prefix{}, errors.New(`must be a network such as "10.0.0.0/8", or "10.1.2.3/32" for one address`)
	}
	if address := network.Addr(); address.Is4In6() { // then it has 96 bits at least, or it would have others set
		return address.Unmap().Prefix(network.Bits() - 96)
	}
	return network, nil
}

// parseProxy takes "" for none.
func parseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	proxy, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) || !isHost(proxy.Hostname()) ||
		strings.Trim(proxy.Path, "/") != "" || proxy.RawQuery != "" || proxy.Fragment != "" {
		return nil, errors.New(`must be the URL of a proxy, such as "http://user:password@proxy.example:3128": http, https, socks5 or socks5h`)
	}
	return proxy, nil
}

// parseNoProxy accepts what the environment variable NO_PROXY holds, but for "*": then there would be no proxy.
func parseNoProxy(text string) (string, error) {
	host := text
	if name, port, ok := hostAndPort(text); ok && port > 0 {
		host = name
	}
	if _, err := netip.ParsePrefix(text); err != nil && !isHost(host) {
		return "", errors.New(`each must be a name such as "example.com", which stands for all below it as well, an address or a network`)
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
		if err != nil || !(n >= low && n <= high) { // not the other way round, or NaN would pass
			return 0, fmt.Errorf("must be a number from %v to %v", low, high)
		}
		return n, nil
	}
}

func durationBetween(low, high time.Duration) func(string) (time.Duration, error) {
	return func(text string) (time.Duration, error) {
		d, err := parseDays(text)
		if err != nil || d < low || d > high {
			return 0, fmt.Errorf("must be a duration from %q to %q", formatDuration(low), formatDuration(high))
		}
		return d, nil
	}
}

// parseDays is time.ParseDuration with days in front: "3d", "1d12h".
func parseDays(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 15) // 15 bits of days fit into a Duration
	if err != nil || rest == "" {
		return time.Duration(n) * 24 * time.Hour, err
	}
	more, err := time.ParseDuration(rest)
	return time.Duration(n)*24*time.Hour + more, err
}

// formatDuration writes the round durations that limits are.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := strings.TrimSuffix(d.String(), "m0s")
	if text != d.String() {
		text += "m"
	}
	return text
}

type sizeUnit struct {
	name  string
	bytes int64
}

var sizeUnits = []sizeUnit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"", 1}}

func sizeBetween[N int | int64](low, high N) func(string) (N, error) {
	return func(text string) (N, error) {
		n, err := parseSize(text)
		if err != nil || n < int64(low) || n > int64(high) {
			return 0, fmt.Errorf("must be a size from %q to %q, or a number of bytes",
				FormatSize(int64(low)), FormatSize(int64(high)))
		}
		return N(n), nil
	}
}

// parseSize reads a number of bytes, or of one of the units.
func parseSize(text string) (int64, error) {
	fits := func(unit sizeUnit) bool { return strings.HasSuffix(text, unit.name) }
	unit := sizeUnits[slices.IndexFunc(sizeUnits, fits)] // the last one fits any text
	n, err := strconv.ParseUint(strings.TrimSuffix(text, unit.name), 10, 63)
	if err == nil && int64(n) > math.MaxInt64/unit.bytes {
		err = strconv.ErrRange
	}
	return int64(n) * unit.bytes, err
}

// FormatSize uses the largest unit that leaves a whole number.
func FormatSize(n int64) string {
	for _, unit := range sizeUnits {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.name
		}
	}
	return "0"
}
