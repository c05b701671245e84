package httpapi

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	"hookwheel/webhook"
)

// Sender sends requests to receivers.
type Sender interface {
	// SentHeaders returns the headers of the request that an attempt made, or nil if they can't be
	// known any more. The endpoint and the message are nil if they are gone.
	SentHeaders(endpoint *webhook.Endpoint, m *webhook.Message, a *webhook.Attempt) ([]webhook.SentHeader, error)
	// Test makes an attempt that is not recorded.
	Test(endpoint *webhook.Endpoint, m *webhook.Message) webhook.Attempt
}

// traceOut is how an attempt went on the network.
type traceOut struct {
	Peer             *string `json:"peer"` // null to customers if it is a private address
	ConnectionReused bool    `json:"connectionReused"`
	ViaProxy         bool    `json:"viaProxy"`
	TLSVersion       *string `json:"tlsVersion"`
	TLSError         *string `json:"tlsError"`
	SentBytes        uint32  `json:"sentBytes"`
	ReceivedBytes    uint32  `json:"receivedBytes"`
	LookupMs         float64 `json:"lookupMs"`
	ConnectMs        float64 `json:"connectMs"`
	TLSMs            float64 `json:"tlsMs"`
	FirstByteMs      float64 `json:"firstByteMs"`
	TotalMs          int64   `json:"totalMs"`
	Control          *string `json:"control"`
}

// tlsFailed begins the texts of attempts that failed in the TLS handshake.
const tlsFailed = "no TLS connection: "

// The names of controls, as receivers write them.
var controls = map[webhook.Control]string{webhook.ControlDisable: "disable", webhook.ControlAbort: "abort-message"}

func showTrace(a *webhook.Attempt, toCustomer bool) *traceOut {
	t := a.Trace
	if t == nil {
		return nil
	}
	out := &traceOut{ConnectionReused: t.Reused, ViaProxy: t.Proxied, SentBytes: t.Sent, ReceivedBytes: t.Received,
		LookupMs: millis(t.Lookup), ConnectMs: millis(t.Connect), TLSMs: millis(t.Handshake), FirstByteMs: millis(t.FirstByte),
		TotalMs: a.Duration.Milliseconds(), Control: optional(controls[t.Control])}
	if t.Peer.IsValid() && !(toCustomer && t.Internal) {
		out.Peer = new(t.Peer.String())
	}
	if t.TLS != 0 {
		out.TLSVersion = new(tls.VersionName(t.TLS))
	}
	if why, failed := strings.CutPrefix(string(a.Response), tlsFailed); failed && a.StatusCode == 0 {
		out.TLSError = new(why)
	}
	return out
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// headersOut has Svix's fields, and whether the lists are complete.
type headersOut struct {
	Sensitive        []string          `json:"sensitive"`
	SentHeaders      map[string]string `json:"sentHeaders"`
	ResponseHeaders  [][2]string       `json:"responseHeaders"`
	SentComplete     bool              `json:"sentHeadersComplete"`
	ResponseComplete bool              `json:"responseHeadersComplete"`
}

// getAttemptHeaders shows the headers of a request and of its response. Values that may be secrets
// are omitted; readers see no signatures either, which would let them send the request again.
func getAttemptHeaders(r *request) (*response, error) {
	m, a, err := r.named().attempt()
	if err != nil {
		return nil, err
	}
	endpoint, err := r.store().Endpoint(m.App, a.Endpoint.Text(webhook.KindEndpoint))
	if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
		return nil, err
	}
	out, err := r.showHeaders(endpoint, m, a)
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

// showHeaders returns the headers of an attempt; the endpoint is nil if it is gone.
func (r *request) showHeaders(endpoint *webhook.Endpoint, m *webhook.Message, a *webhook.Attempt) (*headersOut, error) {
	out := &headersOut{Sensitive: []string{}, SentHeaders: map[string]string{}}
	if err := r.showSent(out, endpoint, m, a); err != nil {
		return nil, err
	}
	if a.Trace != nil && a.StatusCode != 0 {
		out.ResponseHeaders, out.ResponseComplete = [][2]string{}, !a.Trace.HeadersCut
		for line := range strings.Lines(strings.ToValidUTF8(string(a.Trace.Headers), "\ufffd")) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			out.ResponseHeaders = append(out.ResponseHeaders, [2]string{name, value})
		}
	}
	return out, nil
}

func (r *request) showSent(out *headersOut, endpoint *webhook.Endpoint, m *webhook.Message, a *webhook.Attempt) error {
	if a.Trace == nil || a.Trace.Sent == 0 {
		out.SentComplete = a.Trace != nil // nothing was sent
		return nil
	}
	list, err := r.server.config.Sender.SentHeaders(endpoint, m, a)
	if err != nil {
		return err
	}
	if out.SentComplete = list != nil; list == nil { // these depend on the attempt only
		for _, prefix := range []string{"Webhook-", "Svix-"} {
			list = append(list, webhook.SentHeader{Name: prefix + "Id", Value: m.ID.Text(webhook.KindMessage)},
				webhook.SentHeader{Name: prefix + "Timestamp", Value: fmt.Sprint(a.Start.Unix())})
		}
	}
	reader := !mayChangeOwn.include(r.caller)
	for _, h := range list {
		sensitive := webhook.SensitiveHeader(h.Name)
		signature := !h.Custom && h.Name != "Authorization"
		if sensitive && (reader || !signature) || h.Custom && reader && !webhook.HarmlessHeader(h.Name) {
			out.Sensitive = append(out.Sensitive, h.Name)
		} else {
			out.SentHeaders[h.Name] = strings.ToValidUTF8(h.Value, "\ufffd")
		}
	}
	slices.Sort(out.Sensitive)
	return nil
}
