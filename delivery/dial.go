package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// errBlocked means that a name leads to an address that is not to be delivered to.
var errBlocked = errors.New("the address is private or reserved and not allowed as a destination")

// blockedNetworks are not on the public Internet: who could make us connect there would reach what stands behind our
// firewall. From the special-purpose registries of IANA (RFC 6890).
var blockedNetworks = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"::/127", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func parsePrefixes(list ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// dialer connects to receivers: it looks at the address that is really dialled, after the name was resolved, and knows all
// open connections so that it can end them.
type dialer struct {
	allow []netip.Prefix

	mu   sync.Mutex
	open map[*conn]struct{}
}

func newDialer(allow []netip.Prefix) *dialer {
	return &dialer{allow: allow, open: make(map[*conn]struct{})}
}

// dial connects within timeout.
func (d *dialer) dial(address string, timeout time.Duration) (net.Conn, error) {
	plain, err := (&net.Dialer{Timeout: timeout, Control: d.control}).Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: plain, dialer: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = struct{}{}
	return c, nil
}

// dialTLS connects and shakes hands within timeout.
func (d *dialer) dialTLS(address string, timeout time.Duration) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	plain, err := d.dial(address, timeout)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(plain, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS handshake: %w", err), ignoreClosed(plain.Close()))
	}
	return secure, nil
}

// ignoreClosed drops the error of closing what the other side has closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// control is called with the address, no longer a name, just before the connection is made.
func (d *dialer) control(_, address string, _ syscall.RawConn) error {
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !d.allowed(where.Addr()) {
		return fmt.Errorf("%s: %w", where.Addr(), errBlocked)
	}
	return nil
}

func (d *dialer) allowed(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, prefix := range d.allow {
		if prefix.Contains(address) {
			return true
		}
	}
	for _, prefix := range blockedNetworks {
		if prefix.Contains(address) {
			return false
		}
	}
	return true
}

// abort ends all connections, and with them the attempts under way.
func (d *dialer) abort() {
	d.mu.Lock()
	list := make([]*conn, 0, len(d.open))
	for c := range d.open {
		list = append(list, c)
	}
	d.mu.Unlock()
	for _, c := range list {
		c.Close()
	}
}

// conn is a connection that its dialer knows.
type conn struct {
	net.Conn
	dialer *dialer
}

func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}
