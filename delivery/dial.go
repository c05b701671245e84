package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

const (
	maxAddresses = 8                      // of a name, that are tried
	stagger      = 300 * time.Millisecond // until the next one is tried, too; RFC 8305, section 8, says 250 ms
)

// dialer connects to receivers. It resolves names itself and dials the very addresses that its guard has judged, and it knows all
// open connections so that it can end them.
type dialer struct {
	guard    guard
	resolver *net.Resolver
	proxyFor func(target *url.URL) (*url.URL, error)
	roots    *x509.CertPool // nil: the system's

	mu     sync.Mutex
	open   map[*conn]struct{}
	ctx    context.Context // of dialling; replaced when all is aborted
	cancel context.CancelFunc
}

func newDialer(config *Config) *dialer {
	d := &dialer{
		guard: guard{allow: config.Allow, deny: config.Deny}, resolver: net.DefaultResolver,
		proxyFor: proxyFunc(config.Proxy, config.NoProxy), open: make(map[*conn]struct{}),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// stepError says at which step of connecting something went wrong.
type stepError struct {
	step step
	err  error
}

type step string

const (
	stepResolve   step = "resolving the name"
	stepConnect   step = "connecting"
	stepProxy     step = "connecting through the proxy"
	stepHandshake step = "the TLS handshake"
)

func (e *stepError) Error() string { return string(e.step) + ": " + e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// link is a connection with all that lies between its ends.
type link struct {
	net.Conn       // as it is used: through proxies
	bottom   *conn // to the first peer
}

// dial connects within timeout.
func (d *dialer) dial(address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := d.within(timeout)
	defer cancel()
	l, err := d.connect(ctx, "http", address)
	if err != nil {
		return nil, err
	}
	l.bottom.ready = true
	return l.Conn, nil
}

// dialTLS connects and shakes hands within timeout.
func (d *dialer) dialTLS(address string, timeout time.Duration, insecure bool) (net.Conn, error) {
	ctx, cancel := d.within(timeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	l, err := d.connect(ctx, "https", address)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(l.Conn, &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: d.roots, InsecureSkipVerify: insecure})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(&stepError{stepHandshake, err}, ignoreClosed(l.Close()))
	}
	l.bottom.ready = true
	return secure, nil
}

func (d *dialer) within(timeout time.Duration) (context.Context, context.CancelFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return context.WithTimeout(d.ctx, timeout)
}

// ignoreClosed drops the error of closing what has been closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connect connects to host:port, directly or through the proxy.
func (d *dialer) connect(ctx context.Context, scheme, address string) (*link, error) {
	proxy, err := d.proxyFor(&url.URL{Scheme: scheme, Host: address})
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil && proxy != nil && proxy.Scheme == "socks5h" {
		return d.connectTo(ctx, proxy, address) // the proxy resolves the name, and guards
	}
	addresses, err := d.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.race(ctx, proxy, addresses, port)
}

// resolve gives back the addresses of a host that may be delivered to.
func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := d.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, &stepError{stepResolve, err}
	}
	var list []netip.Addr
	for _, address := range all {
		if d.guard.allowed(address) && len(list) < maxAddresses {
			list = append(list, address.Unmap())
		}
	}
	if len(list) == 0 {
		return nil, errBlocked
	}
	return list, nil
}

// race connects to the first address that answers. The next one is tried when the one before has failed, or is slow.
func (d *dialer) race(ctx context.Context, proxy *url.URL, addresses []netip.Addr, port string) (*link, error) {
	type result struct {
		link *link
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(addresses))
	start := time.NewTimer(0)
	defer start.Stop()
	var failed error
	for begun, ended := 0, 0; ended < len(addresses); {
		select {
		case <-start.C:
			if begun == len(addresses) {
				continue
			}
			address := net.JoinHostPort(addresses[begun].String(), port)
			go func() {
				l, err := d.connectTo(ctx, proxy, address)
				results <- result{l, err}
			}()
			begun++
			start.Reset(stagger)
		case r := <-results:
			ended++
			if r.err != nil {
				if failed == nil {
					failed = r.err // the others are much the same
				}
				start.Reset(0)
				continue
			}
			cancel()
			for ; ended < begun; ended++ {
				if late := <-results; late.err == nil {
					late.link.Close()
				}
			}
			return r.link, nil
		}
	}
	return nil, failed
}

// connectTo connects to one address, which nobody resolves any more unless the proxy does.
func (d *dialer) connectTo(ctx context.Context, proxy *url.URL, address string) (*link, error) {
	first := address
	if proxy != nil {
		first = proxyAddress(proxy)
	}
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", first)
	if err != nil {
		if proxy != nil {
			return nil, &stepError{stepProxy, err}
		}
		return nil, &stepError{stepConnect, err}
	}
	bottom, err := d.register(plain)
	if err != nil {
		return nil, err
	}
	l := &link{bottom, bottom}
	if proxy == nil {
		return l, nil
	}
	stop := context.AfterFunc(ctx, func() { bottom.Close() })
	l.Conn, err = d.throughProxy(ctx, bottom, proxy, address)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // it is why the connection was closed
		}
		return nil, errors.Join(&stepError{stepProxy, err}, ignoreClosed(bottom.Close()))
	}
	return l, nil
}

// register takes a new connection into the list of open ones.
func (d *dialer) register(plain net.Conn) (*conn, error) {
	tcp, ok := plain.(*net.TCPConn)
	if !ok {
		return nil, fmt.Errorf("a %T, not a TCP connection", plain)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	c := &conn{Conn: plain, raw: raw, dialer: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = struct{}{}
	return c, nil
}

// abort ends all connections, and with them the attempts under way.
func (d *dialer) abort() {
	d.mu.Lock()
	d.cancel()
	d.ctx, d.cancel = context.WithCancel(context.Background())
	list := make([]*conn, 0, len(d.open))
	for c := range d.open {
		list = append(list, c)
	}
	d.mu.Unlock()
	for _, c := range list {
		c.Close()
	}
}
