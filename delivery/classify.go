package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/valyala/fasthttp"
)

// reason is how an attempt ended. It is the value of a metric's label.
type reason string

const (
	reasonSuccess  reason = "success"
	reasonStatus   reason = "status" // a response other than 2xx
	reasonTimeout  reason = "timeout"
	reasonDNS      reason = "dns"
	reasonTLS      reason = "tls"
	reasonConnect  reason = "connect"
	reasonProxy    reason = "proxy" // the proxy itself failed
	reasonBlocked  reason = "blocked"
	reasonSecret   reason = "secret"   // the endpoint's secrets could not be opened
	reasonProtocol reason = "protocol" // the response is not HTTP
	reasonNetwork  reason = "network"  // any other network failure
	reasonLocal    reason = "local"    // this machine lacked descriptors, memory, ports, a name server or a network
	reasonRevoked  reason = "revoked"  // aborted because the endpoint was changed, paused or deleted in the meantime
)

var reasons = []reason{reasonSuccess, reasonStatus, reasonTimeout, reasonDNS, reasonTLS, reasonConnect, reasonProxy, reasonBlocked,
	reasonSecret, reasonProtocol, reasonNetwork, reasonLocal, reasonRevoked}

// isOurFault reports whether nothing was sent, for a reason that only our operator can fix.
func (r reason) isOurFault() bool { return r == reasonSecret || r == reasonProxy || r == reasonLocal }

// Texts for customers in place of details that would reveal our network, or that do not concern
// them.
const (
	textNowhere = "not sent: the name leads to no address on the Internet: there is no such host, it has no address, or only private or reserved ones"
	textLocal   = "not sent: the sender lacked a resource of its own, such as descriptors, ports or a name server; this counts as no attempt"
)

// maxErrorText is how many bytes a text about an error may have. Those of crypto/x509 repeat the
// names in a certificate, which the receiver chooses.
const maxErrorText = 512

// errorText returns a text that can be recorded and shown, whatever is in an error.
func errorText(text string) []byte {
	if len(text) > maxErrorText {
		text = text[:maxErrorText-len("…")] + "…"
	}
	return []byte(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "")))
}

func classifyStatus(code int) reason {
	if code >= 200 && code < 300 {
		return reasonSuccess
	}
	return reasonStatus
}

// classifyError returns why there is no response, as a reason and as a sentence. The sentence is
// shown to the customer.
func classifyError(err error, timeout time.Duration) (reason, string) {
	var (
		at    *stepError
		late  interface{ Timeout() bool }
		small *fasthttp.ErrSmallBuffer
		op    *net.OpError
	)
	timedOut := errors.As(err, &late) && late.Timeout()
	switch {
	case errors.Is(err, errRevoked):
		return reasonRevoked, "broken off before the receiver had all of it: " + errRevoked.Error()
	case local(err) != nil:
		return reasonLocal, textLocal
	case errors.Is(err, errBlockedName):
		return reasonBlocked, textNowhere
	case errors.Is(err, errBlocked):
		return reasonBlocked, "not sent: " + errBlocked.Error()
	case errors.As(err, &at):
		return classifyStep(at, timedOut, timeout)
	case timedOut:
		return reasonTimeout, fmt.Sprintf("no answer within %s", timeout)
	case errors.As(err, &small):
		return reasonProtocol, fmt.Sprintf("the headers of the answer are longer than %d KiB, or never end", maxResponseHeader>>10)
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, errStale):
		return reasonNetwork, "the receiver closed the connection before it answered"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return reasonNetwork, "the receiver closed the connection in the middle of the headers of its answer"
	case errors.As(err, &op):
		return reasonNetwork, "the connection broke: " + op.Err.Error()
	default:
		return reasonProtocol, protocolText(err)
	}
}

// protocolText returns what is wrong with a response that fasthttp can't parse. It matches the
// texts of fasthttp's errors, as most of them are not exported. They end in what the receiver sent,
// which is harmless here: it only selects one of our own texts.
func protocolText(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "whitespace in the first line"), strings.Contains(text, "invalid response status code"):
		return "the answer is not HTTP: it does not begin with a status line"
	case errors.Is(err, errNoStatus):
		return "the answer is not HTTP: its status is less than 100"
	case errors.Is(err, errEndless):
		return "the answer is not valid HTTP: it does not end"
	case errors.Is(err, fasthttp.ErrDuplicateContentLength):
		return "the answer is not valid HTTP: it has more than one Content-Length"
	case strings.Contains(text, "transfer-encoding"):
		return "the answer is not valid HTTP: its Transfer-Encoding is something else than chunked"
	case strings.Contains(text, "too many 1xx"):
		return "the receiver sent too many interim answers (100 to 199) and no final one"
	default:
		return "the answer is not valid HTTP"
	}
}

// classifyStep is classifyError for failures before anything was sent.
func classifyStep(at *stepError, timedOut bool, timeout time.Duration) (reason, string) {
	var (
		dns     *net.DNSError
		refused proxyError
	)
	switch {
	case timedOut:
		return reasonTimeout, fmt.Sprintf("no answer within %s: %s took too long", timeout, at.step)
	case errors.As(at.err, &refused):
		return reasonConnect, "no connection: the proxy through which requests are sent " + string(refused)
	case at.step == stepProxy: // the proxy's address and name are only for our operator
		return reasonProxy, "not sent: the proxy through which requests are sent failed; the sender's operator must act"
	case errors.As(at.err, &dns) && dns.IsNotFound:
		return reasonDNS, textNowhere
	case at.step == stepResolve && dns != nil:
		return reasonDNS, "the name could not be resolved: " + dnsText(dns)
	case at.step == stepHandshake:
		return reasonTLS, "no TLS connection: " + tlsText(at.err)
	case errors.Is(at.err, syscall.EPERM), errors.Is(at.err, syscall.EACCES):
		return reasonBlocked, "not sent: the sender's network lets nothing through to this address"
	case errors.Is(at.err, syscall.ECONNREFUSED):
		return reasonConnect, "connection refused: nothing listens there"
	default:
		return reasonConnect, "no connection: " + inner(at.err).Error()
	}
}

// dnsTexts are those of net's resolver about a response. All others are about the network, and have
// the addresses of this machine and of its name servers.
var dnsTexts = []string{"server misbehaving", "no answer from DNS server", "lame referral", "cannot unmarshal DNS message", "invalid DNS response"}

func dnsText(err *net.DNSError) string {
	if slices.Contains(dnsTexts, err.Err) {
		return err.Err
	}
	return "a name server did not answer"
}

// inner returns an error without the addresses that net puts in front of it.
func inner(err error) error {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// tlsText returns what is wrong with a certificate or a handshake.
func tlsText(err error) string {
	var (
		invalid  x509.CertificateInvalidError
		host     x509.HostnameError
		unknown  x509.UnknownAuthorityError
		notTLS   tls.RecordHeaderError
		alert    tls.AlertError
		fallback = inner(err).Error()
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the receiver's certificate has expired or is not valid yet: " + fallback
	case errors.As(err, &host):
		return "the receiver's certificate is for another name: " + fallback
	case errors.As(err, &unknown):
		return "the receiver's certificate is self-signed or of an unknown authority, or certificates are missing between the two: " + fallback
	case errors.As(err, &notTLS):
		return "what listens there does not speak TLS"
	case errors.As(err, &alert):
		return "the receiver broke it off: " + alert.Error()
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "the receiver closed the connection"
	default:
		return fallback
	}
}
