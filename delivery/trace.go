package delivery

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// maxHeaderKept is how many bytes of one response header an attempt keeps.
const maxHeaderKept = 1024

// maskedHeader replaces the values of response headers that may be secrets.
var maskedHeader = []byte("***")

// trace notes whom a connection leads to: the address is a proxy's if there is one, and not noted.
func (l *link) trace(t *webhook.Trace) {
	t.Peer, t.Internal, t.Proxied, t.TLS = l.address, l.internal, l.proxied, l.version
}

// tracedAddress returns an address as traces have it, and whether it is a private one.
func tracedAddress(address net.Addr) (at netip.AddrPort, internal bool) {
	tcp, is := address.(*net.TCPAddr)
	if !is {
		return at, false
	}
	at = tcp.AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
	return at, !(&guard{}).allowed(at.Addr())
}

// traceFailure notes the address to which no connection could be made.
func (d *dialer) traceFailure(t *webhook.Trace, err error) {
	var (
		at *stepError
		op *net.OpError
	)
	if errors.As(err, &at) && at.step == stepConnect && errors.As(at.err, &op) {
		t.Peer, t.Internal = tracedAddress(op.Addr)
	}
}

// appendHeaders appends the headers of a response that are kept, without values that may be
// secrets, up to a limit, and reports whether some are missing or shortened.
func appendHeaders(dst []byte, response *fasthttp.Response, limit int) (kept []byte, cut bool) {
	for name, value := range response.Header.All() {
		if webhook.SensitiveHeader(string(name)) {
			value = maskedHeader
		}
		if len(value) > maxHeaderKept {
			value, cut = value[:maxHeaderKept], true
		}
		if len(dst)+len(name)+len(value)+len(": \n") > limit {
			return dst, true
		}
		dst = append(append(dst, name...), ": "...)
		dst = append(appendClean(dst, value), '\n')
	}
	return dst, cut
}

// SentHeaders returns the headers of the request that an attempt made. It computes them again,
// which is possible unless the message or the settings of the endpoint have changed. Then it
// returns nil, as it does if endpoint or m is nil.
func (p *Pool) SentHeaders(endpoint *webhook.Endpoint, m *webhook.Message, a *webhook.Attempt) ([]webhook.SentHeader, error) {
	if endpoint == nil || m == nil || m.Expunged || a.Trace == nil || a.Trace.Settings != endpoint.SettingsHash() || a.Trace.Propagated && m.Trace == nil {
		return nil, nil
	}
	then := *endpoint
	then.URL = a.URL
	o, own, err := p.sender.secrets.open(&then)
	if err != nil {
		return nil, err
	}
	text := string(o.appendRequest(nil, m, bodyOf(m, &then), a))
	_, text, _ = strings.Cut(text, "\r\n") // the request line
	var list []webhook.SentHeader
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n\r\n"), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		_, custom := own[name]
		list = append(list, webhook.SentHeader{Name: name, Value: value, Custom: custom})
	}
	return list, nil
}
