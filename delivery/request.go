package delivery

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hookwheel/webhook"
)

// appendHead appends the request line and the headers that are the same in each request to an
// endpoint. The endpoint's own headers replace ours where that is allowed.
func appendHead(dst []byte, u *webhook.URL, userAgent string, own webhook.Headers) []byte {
	dst = append(dst, "POST "+u.Target+" HTTP/1.1\r\n"...)
	dst = appendHeader(dst, "Host", u.HostPort())
	dst = appendHeader(dst, "User-Agent", userAgent)
	chosen := func(name string) bool {
		for other := range own {
			if strings.EqualFold(other, name) {
				return true
			}
		}
		return false
	}
	if !chosen("Accept") {
		dst = appendHeader(dst, "Accept", "*/*")
	}
	if credentials := u.Authorization(); credentials != "" && !chosen("Authorization") {
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
func (o *opened) appendRequest(dst []byte, m *webhook.Message, body []byte, now time.Time) []byte {
	contentType := m.ContentType
	if o.endpoint.Envelope || contentType == "" {
		contentType = webhook.JSONContentType
	}
	dst = slices.Grow(dst, len(o.head)+1024)
	dst = append(dst, o.head...)
	dst = appendHeader(dst, "Content-Type", contentType)
	dst = appendHeader(dst, "Content-Length", strconv.Itoa(len(body)))
	id := m.ID.Text(webhook.KindMessage)
	seconds := now.Unix()
	timestamp := strconv.FormatInt(seconds, 10)
	signature := string(o.appendSignatures(nil, now, id, seconds, body))
	for _, prefix := range [...]string{"Webhook-", "Svix-"} {
		dst = appendHeader(dst, prefix+"Id", id)
		dst = appendHeader(dst, prefix+"Timestamp", timestamp)
		dst = appendHeader(dst, prefix+"Signature", signature)
	}
	if o.endpoint.Style != webhook.StyleStandard {
		if secrets := o.shared(now); len(secrets) > 0 {
			dst = appendHeader(dst, o.endpoint.Style.Header(), o.endpoint.Style.Sign(secrets, seconds, body))
		}
	}
	return append(dst, "\r\n"...)
}

// appendHeader appends a header line. Control characters in values were refused earlier; as a
// precaution, they are sent as spaces.
func appendHeader(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			c = ' '
		}
		dst = append(dst, c)
	}
	return append(dst, "\r\n"...)
}
