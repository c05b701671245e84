package delivery

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"time"

	"hookwheel/webhook"
)

// appendHead appends the request line and the headers that are the same in each request to an
// endpoint. The endpoint's own headers replace ours where that is allowed.
func appendHead(dst []byte, u *webhook.URL, userAgent string, own webhook.Headers) []byte {
	dst = append(dst, "POST "+u.Target+" HTTP/1.1\r\n"...)
	dst = appendHeader(dst, "Host", u.HostPort())
	dst = appendHeader(dst, "User-Agent", userAgent)
	if !own.Has("Accept") {
		dst = appendHeader(dst, "Accept", "*/*")
	}
	if credentials := u.Authorization(); credentials != "" && !own.Has("Authorization") {
		dst = appendHeader(dst, "Authorization", credentials)
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		dst = appendHeader(dst, name, own[name])
	}
	return dst
}

// bodyOf returns the body of a request.
func bodyOf(m *webhook.Message, endpoint *webhook.Endpoint) []byte {
	if endpoint.Envelope {
		return webhook.AppendEnvelope(nil, m)
	}
	return m.Payload
}

// appendRequest appends a request without its body. The headers of Standard Webhooks 1.0.0 come
// last. Those that begin with svix repeat them for receivers that verify with a Svix library, and
// the endpoint's style may add another one.
func (o *opened) appendRequest(dst []byte, m *webhook.Message, body []byte, a *webhook.Attempt) []byte {
	contentType := m.ContentType
	if o.endpoint.Envelope || contentType == "" {
		contentType = webhook.JSONContentType
	}
	dst = append(dst, o.head...)
	dst = appendHeader(dst, "Content-Type", contentType)
	dst = append(strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(body)), 10), "\r\n"...)
	if a.Trace.Propagated {
		dst = appendTraceContext(dst, m, a)
	}
	now := a.Start
	seconds := now.Unix()
	own := len(dst)
	dst = o.appendStandard(dst, m.ID.Text(webhook.KindMessage), seconds, now, body)
	// The second form differs from the first one only in the names.
	lines := dst[own:]
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n') + 1
		dst = append(append(dst, "Svix-"...), lines[len("Webhook-"):end]...)
		lines = lines[end:]
	}
	if o.endpoint.Style != webhook.StyleStandard {
		if keys := o.shared(now); len(keys) > 0 {
			dst = append(append(dst, o.endpoint.Style.Header()...), ": "...)
			dst = append(o.endpoint.Style.AppendSignature(dst, keys, seconds, body), "\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}

// appendTraceContext appends the headers of W3C Trace Context.
func appendTraceContext(dst []byte, m *webhook.Message, a *webhook.Attempt) []byte {
	c, _ := m.AttemptContext(a)
	dst = append(c.AppendTraceparent(append(dst, "traceparent: "...)), "\r\n"...)
	if c.State != "" {
		dst = appendHeader(dst, "tracestate", c.State)
	}
	return dst
}

// appendStandard appends the headers of Standard Webhooks 1.0.0.
func (o *opened) appendStandard(dst []byte, id string, seconds int64, now time.Time, body []byte) []byte {
	dst = append(append(dst, "Webhook-Id: "...), id...)
	dst = strconv.AppendInt(append(dst, "\r\nWebhook-Timestamp: "...), seconds, 10)
	dst = o.appendSignatures(append(dst, "\r\nWebhook-Signature: "...), now, id, seconds, body)
	return append(dst, "\r\n"...)
}

// appendHeader appends a header line. Control characters in values were refused earlier; as a
// precaution, they are sent as spaces.
func appendHeader(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	dst = appendClean(dst, value)
	return append(dst, "\r\n"...)
}

// appendClean appends a header's value, with spaces for control characters.
func appendClean[T string | []byte](dst []byte, value T) []byte {
	start := len(dst)
	dst = append(dst, value...)
	for i, c := range dst[start:] {
		if c < ' ' && c != '\t' || c == 0x7f {
			dst[start+i] = ' '
		}
	}
	return dst
}
