package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hookwheel/tlslimit"
	"hookwheel/webhook"
)

const (
	stagger    = 250 * time.Millisecond // delay before the next address is tried as well; as in RFC 8305, section 8
	maxDialing = 8                      // addresses that one attempt tries concurrently; beyond it, the oldest try is abandoned
	minSpacing = 10 * time.Millisecond  // between tries after the first maxDialing, however fast they fail

	// extraDials is how many addresses all attempts together try while they try another one. The
	// node has two descriptors for each worker, and these. When they are used up, an attempt tries
	// one address after the other, for lonely times stagger each.
	extraDials = 64
	lonely     = 4
)

// dialer connects to receivers. It resolves names itself and dials exactly the addresses that its
// guard has checked. It keeps track of all open connections so that it can close them.
type dialer struct {
	guard    atomic.Pointer[guard]
	resolver *net.Resolver
	answered atomic.Int64 // when a name server last answered anything, in Unix nanoseconds
	proxyFor func(target *url.URL) (*url.URL, error)
	roots    *x509.CertPool // nil: the system's
	idle     *idleLinks
	extra    chan struct{} // has an element for each of extraDials under way

	mu     sync.Mutex
	open   map[*conn]struct{}
	ctx    context.Context // of dialing; replaced by abort
	cancel context.CancelFunc
}

func newDialer(config *Config) *dialer {
	d := &dialer{
		resolver: &net.Resolver{PreferGo: true},
		proxyFor: proxyFunc(config.Proxy, config.NoProxy), idle: newIdleLinks(config.Workers), open: make(map[*conn]struct{}),
		extra: make(chan struct{}, min(extraDials, config.Workers*(maxDialing-1))),
	}
	d.guard.Store(&guard{allow: config.Allow, deny: config.Deny})
	// Loaded now because crypto/x509 loads them only once: if no descriptor were left at that time,
	// the failure would be permanent.
	if roots, err := x509.SystemCertPool(); err == nil {
		d.roots = roots
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// stepError is a failure at one step of connecting.
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

// dial connects to a peer, including the TLS handshake if the peer uses TLS. It notes in the trace
// how long each step takes.
func (d *dialer) dial(ctx context.Context, p peer, t *webhook.Trace) (*link, error) {
	host, port, err := net.SplitHostPort(p.address)
	if err != nil {
		return nil, err
	}
	d.idle.reserve()
	defer d.idle.release()
	now := d.guard.Load()
	l, err := d.connect(ctx, now, p.secure, host, port, t)
	if err != nil {
		d.traceFailure(t, err)
		return nil, err
	}
	l.peer, l.made, l.guard = p, time.Now(), now
	if !l.proxied {
		l.address, l.internal = tracedAddress(l.bottom.RemoteAddr())
	}
	l.trace(t)
	if p.secure {
		host, _, _ = strings.Cut(host, "%")                                                             // a zone is not part of a name
		config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} // VerifyConnection does it
		if !p.insecure {
			config.VerifyConnection = func(state tls.ConnectionState) error {
				return tlslimit.Verify(state.PeerCertificates, x509.VerifyOptions{DNSName: host, Roots: d.roots})
			}
		}
		secure := tls.Client(l.Conn, config)
		begun := time.Now()
		err := secure.HandshakeContext(ctx)
		t.Handshake = time.Since(begun)
		if err != nil {
			if ctx.Err() == nil {
				l.bottom.settle() // so that the receiver gets the TLS alert
			}
			return nil, errors.Join(&stepError{stepHandshake, err}, ignoreClosed(l.bottom.Close()))
		}
		l.Conn, l.version = secure, secure.ConnectionState().Version
	}
	l.bottom.ready = true
	return l, nil
}

// setNetworks replaces the guard. Connections that it has not checked are not used again.
func (d *dialer) setNetworks(allow, deny []netip.Prefix) {
	d.guard.Store(&guard{allow: allow, deny: deny})
	d.idle.clear()
}

// takeIdle returns a connection to a peer that the present guard has checked, or nil.
func (d *dialer) takeIdle(p peer) *link {
	for {
		l := d.idle.take(p)
		if l == nil || l.guard == d.guard.Load() {
			return l
		}
		l.Close()
	}
}

// context returns the context of attempts that begin now, which abort ends.
func (d *dialer) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// ignoreClosed drops the error of closing a closed connection.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// connect connects directly or through the proxy.
func (d *dialer) connect(ctx context.Context, now *guard, secure bool, host, port string, t *webhook.Trace) (*link, error) {
	address := net.JoinHostPort(host, port)
	proxy, err := d.proxyFor(&url.URL{Scheme: map[bool]string{false: "http", true: "https"}[secure], Host: address})
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	defer func() { t.Connect = time.Since(begun) - t.Lookup }()
	literal, err := netip.ParseAddr(host)
	if err != nil && proxy != nil && proxy.Scheme == "socks5h" {
		return d.connectTo(ctx, proxy, address) // the proxy resolves the name and checks the address
	}
	addresses := []netip.Addr{literal}
	if err != nil {
		addresses, err = d.resolve(ctx, now, host)
		if t.Lookup = time.Since(begun); err != nil {
			return nil, err
		}
	} else if !now.allowed(literal) {
		return nil, errBlocked
	}
	return d.race(ctx, proxy, addresses, port)
}

// race connects to the first address that responds. It tries the next address when the previous one
// has failed or is slow.
func (d *dialer) race(ctx context.Context, proxy *url.URL, addresses []netip.Addr, port string) (*link, error) {
	type result struct {
		link *link
		err  error
	}
	results := make(chan result, len(addresses))
	var cancels []context.CancelFunc
	cancelAll := func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
	defer cancelAll()
	waits := 1 // for an extra dial, stagger each; the try under way has had one
	start := time.NewTimer(0)
	defer start.Stop()
	var failed error
	for ended := 0; ended < len(addresses); {
		select {
		case <-start.C:
			begun := len(cancels)
			switch {
			case ctx.Err() != nil && ended == begun:
				return nil, cmp.Or(failed, ctx.Err())
			case ctx.Err() != nil, begun == len(addresses):
				continue
			}
			isExtra := begun > ended
			if isExtra && !d.takeExtra() {
				if waits++; waits%lonely == 0 {
					cancelAll()
				}
				start.Reset(stagger)
				continue
			}
			if begun-ended >= maxDialing {
				cancels[begun-maxDialing]()
			}
			tryCtx, cancel := context.WithCancel(ctx)
			cancels = append(cancels, cancel)
			address := net.JoinHostPort(addresses[begun].String(), port)
			go func() {
				l, err := d.connectTo(tryCtx, proxy, address)
				if isExtra {
					<-d.extra
				}
				results <- result{l, err}
			}()
			start.Reset(stagger)
		case r := <-results:
			ended++
			if r.err == nil {
				cancelAll()
				for ; ended < len(cancels); ended++ {
					if late := <-results; late.err == nil {
						late.link.Close()
					}
				}
				return r.link, nil
			}
			failed = worse(failed, r.err)
			switch begun := len(cancels); {
			case ctx.Err() != nil && ended == begun:
				return nil, failed
			case begun < maxDialing:
				start.Reset(0)
			case begun < len(addresses):
				start.Reset(minSpacing)
			}
		}
	}
	return nil, failed
}

// takeExtra reports whether an address may be tried while another one of the same attempt is.
func (d *dialer) takeExtra() bool {
	select {
	case d.extra <- struct{}{}:
		return true
	default:
		return false
	}
}

// connectTo connects to one address, which is not resolved again, except by a proxy.
func (d *dialer) connectTo(ctx context.Context, proxy *url.URL, address string) (*link, error) {
	first := address
	if proxy != nil {
		first = proxyAddress(proxy)
	}
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", first)
	if isExhausted(err) && d.idle.clear() {
		plain, err = new(net.Dialer).DialContext(ctx, "tcp", first)
	}
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
	l := &link{Conn: bottom, bottom: bottom, proxied: proxy != nil}
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
			err = ctx.Err() // the reason why the connection was closed
		}
		return nil, errors.Join(&stepError{stepProxy, err}, ignoreClosed(bottom.Close()))
	}
	return l, nil
}

// register adds a new connection to the open ones.
func (d *dialer) register(plain net.Conn) (*conn, error) {
	c, err := newConn(plain, d)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[c] = struct{}{}
	return c, nil
}

// abort closes all connections, which ends the attempts in flight.
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
	d.idle.clear()
}
