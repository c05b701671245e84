package delivery

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// reason is how an attempt ended, in few words: the label of a metric.
type reason string

const (
	reasonSuccess reason = "success"
	reasonStatus  reason = "status" // an answer, but not 2xx
	reasonTimeout reason = "timeout"
	reasonDNS     reason = "dns"
	reasonTLS     reason = "tls"
	reasonConnect reason = "connect"
	reasonBlocked reason = "blocked"
	reasonSecret  reason = "secret"  // the endpoint's secrets could not be opened
	reasonNetwork reason = "network" // anything else between us and the answer
)

var reasons = []reason{reasonSuccess, reasonStatus, reasonTimeout, reasonDNS, reasonTLS, reasonConnect, reasonBlocked, reasonSecret, reasonNetwork}

func classifyStatus(code int) reason {
	if code >= 200 && code < 300 {
		return reasonSuccess
	}
	return reasonStatus
}

// classifyError says in one word and in one sentence why there is no answer. The sentence is shown to the customer.
func classifyError(err error, timeout time.Duration) (reason, string) {
	var (
		dns      *net.DNSError
		tlsAlert tls.AlertError
		tlsCert  *tls.CertificateVerificationError
		tlsFrame tls.RecordHeaderError
		network  net.Error
	)
	switch {
	case errors.Is(err, errBlocked):
		return reasonBlocked, "not sent: " + err.Error()
	case errors.As(err, &dns) && !dns.IsTimeout:
		return reasonDNS, "the name could not be resolved: " + dns.Error()
	case errors.As(err, &tlsCert), errors.As(err, &tlsAlert), errors.As(err, &tlsFrame):
		return reasonTLS, err.Error()
	case errors.Is(err, fasthttp.ErrTimeout), errors.As(err, &network) && network.Timeout():
		return reasonTimeout, fmt.Sprintf("no answer within %s", timeout)
	case strings.HasPrefix(err.Error(), "TLS handshake"):
		return reasonTLS, err.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return reasonConnect, "connection refused: nothing listens there"
	case errors.Is(err, fasthttp.ErrConnectionClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return reasonNetwork, "the receiver closed the connection before it answered"
	default:
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return reasonConnect, "no connection: " + op.Err.Error()
		}
		return reasonNetwork, err.Error()
	}
}
