package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// reason is how an attempt ended, in few words: the label of a metric.
type reason string

const (
	reasonSuccess  reason = "success"
	reasonStatus   reason = "status" // an answer, but not 2xx
	reasonTimeout  reason = "timeout"
	reasonDNS      reason = "dns"
	reasonTLS      reason = "tls"
	reasonConnect  reason = "connect"
	reasonProxy    reason = "proxy"
	reasonBlocked  reason = "blocked"
	reasonSecret   reason = "secret"   // the endpoint's secrets could not be opened
	reasonProtocol reason = "protocol" // the answer is not HTTP
	reasonNetwork  reason = "network"  // anything else between us and the answer
)

var reasons = []reason{reasonSuccess, reasonStatus, reasonTimeout, reasonDNS, reasonTLS, reasonConnect, reasonProxy, reasonBlocked,
	reasonSecret, reasonProtocol, reasonNetwork}

func classifyStatus(code int) reason {
	if code >= 200 && code < 300 {
		return reasonSuccess
	}
	return reasonStatus
}

// classifyError says in one word and in one sentence why there is no answer. The sentence is shown to the customer.
func classifyError(err error, timeout time.Duration) (reason, string) {
	var (
		at    *stepError
		late  interface{ Timeout() bool }
		small *fasthttp.ErrSmallBuffer
		op    *net.OpError
	)
	timedOut := errors.As(err, &late) && late.Timeout()
	switch {
	case errors.Is(err, errBlocked):
		return reasonBlocked, "not sent: " + errBlocked.Error()
	case errors.As(err, &at):
		return classifyStep(at, timedOut, timeout)
	case timedOut:
		return reasonTimeout, fmt.Sprintf("no answer within %s", timeout)
	case errors.As(err, &small):
		return reasonProtocol, fmt.Sprintf("the headers of the answer are longer than %d KiB, or never end", maxResponseHeader>>10)
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reasonNetwork, "the receiver closed the connection before it answered"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return reasonNetwork, "the receiver closed the connection in the middle of the headers of its answer"
	case errors.As(err, &op):
		return reasonNetwork, "the connection broke: " + op.Err.Error()
	default:
		return reasonProtocol, "the answer is not HTTP: " + err.Error()
	}
}

// classifyStep does the same for what went wrong before anything was sent.
func classifyStep(at *stepError, timedOut bool, timeout time.Duration) (reason, string) {
	var dns *net.DNSError
	switch {
	case timedOut:
		return reasonTimeout, fmt.Sprintf("no answer within %s: %s took too long", timeout, at.step)
	case at.step == stepProxy: // where the proxy is remains between us and our operator
		return reasonProxy, "no connection: the proxy through which requests are sent failed: " + inner(at.err).Error()
	case errors.As(at.err, &dns) && dns.IsNotFound:
		return reasonDNS, "the name could not be resolved: there is no such host, or it has no address"
	case at.step == stepResolve && dns != nil:
		return reasonDNS, "the name could not be resolved: " + dns.Err
	case at.step == stepHandshake:
		return reasonTLS, "no TLS connection: " + tlsText(at.err)
	case errors.Is(at.err, syscall.ECONNREFUSED):
		return reasonConnect, "connection refused: nothing listens there"
	default:
		return reasonConnect, "no connection: " + inner(at.err).Error()
	}
}

// inner is an error without the addresses that net puts in front of it.
func inner(err error) error {
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	return err
}

// tlsText says what is wrong with a certificate or a handshake.
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
