package webhook

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Headers are the headers that a customer adds to an endpoint's requests. Names keep their case
// but are compared without regard to it.
type Headers map[string]string

// SentHeader is a header of a request that was sent.
type SentHeader struct {
	Name, Value string
	Custom      bool // the customer has chosen it
}

const (
	maxHeaders     = 64
	maxHeaderName  = 256      // bytes
	maxHeaderValue = 4096     // bytes
	maxHeaderBytes = 32 << 10 // of all names and values together
)

var (
	// forbiddenHeaders belong to the transport, to proxies, to the payload or to our signatures.
	// They are compared as CGI passes headers on: in one case, and with a hyphen for everything
	// that is not a letter or digit.
	forbiddenHeaders = []string{"user-agent", "keep-alive", "te", "trailer", "trailers", "transfer-encoding", "upgrade", "http2-settings",
		"expect", "host", "connection", "age", "cache-control", "clear-site-data", "expires", "pragma", "warning",
		"x-hub-signature-256", "stripe-signature", "x-webhook-signature"}
	forbiddenHeaderPrefixes = []string{"content-", "proxy-", "x-amz-", "x-amzn-", "x-google", "x-goog-", "x-gfe", "x-azure-", "x-fd-",
		"x-svix-", "svix-", "webhook-"}

	// sensitiveWords occur in the names of headers whose values are secrets, such as X-Api-Key.
	// The list prefers false positives.
	sensitiveWords = []string{"auth", "cookie", "credential", "key", "passw", "secret", "signature", "token"}
)

// harmlessHeaders are the names whose values are shown to readers: a value under any other name,
// such as X-Pin or X-Session, may be a secret.
var harmlessHeaders = []string{"accept", "accept-charset", "accept-encoding", "accept-language", "date", "dnt", "from", "origin", "prefer", "priority",
	"save-data", "upgrade-insecure-requests", "x-correlation-id", "x-env", "x-environment", "x-forwarded-proto", "x-region", "x-request-id",
	"x-requested-with", "x-team", "x-tenant", "x-version"}

// HarmlessHeader reports whether the value of a header may be shown to readers.
func HarmlessHeader(name string) bool { return slices.Contains(harmlessHeaders, strings.ToLower(name)) }

// SensitiveHeader reports whether the value of a header is a secret and must never be shown.
func SensitiveHeader(name string) bool {
	lower := make([]byte, 0, 64) // on the stack: each header of each response is checked
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower = append(lower, c)
	}
	for _, word := range sensitiveWords {
		if bytes.Contains(lower, []byte(word)) {
			return true
		}
	}
	return false
}

// Validate checks names and values.
func (h Headers) Validate() error {
	if len(h) > maxHeaders {
		return Invalid("headers", fmt.Sprintf("may hold at most %d headers", maxHeaders))
	}
	seen, size := make(map[string]bool), 0
	for name, value := range h {
		field, folded := "headers/"+name, foldHeader(name)
		switch {
		case !validHeaderName(name):
			return Invalid(field, "is not the name of a header: 1 to 256 letters, digits and ! # $ % & ' * + - . ^ _ ` | ~")
		case seen[folded]:
			return Invalid(field, "is given twice: upper and lower case are the same, and so are - and _")
		case reservedHeader(folded):
			return Invalid(field, "can't be chosen: requests have a header of their own with this name, or it is reserved")
		case len(value) > maxHeaderValue:
			return Invalid(field, fmt.Sprintf("must not be longer than %d bytes", maxHeaderValue))
		case !validHeaderValue(value):
			return Invalid(field, "must not hold line breaks or other control characters")
		}
		seen[folded] = true
		size += len(name) + len(value)
	}
	if size > maxHeaderBytes {
		return Invalid("headers", fmt.Sprintf("must not be longer than %d bytes, names and values together", maxHeaderBytes))
	}
	return nil
}

// foldHeader returns the name under which a CGI or WSGI application sees a header, written with
// hyphens.
func foldHeader(name string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && isWordByte(byte(r), "") {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

func reservedHeader(folded string) bool {
	return slices.Contains(forbiddenHeaders, folded) ||
		slices.ContainsFunc(forbiddenHeaderPrefixes, func(p string) bool { return strings.HasPrefix(folded, p) })
}

// Has reports whether there is a header with that name, in any case.
func (h Headers) Has(name string) bool {
	for other := range h {
		if strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// Delete removes a header, in any case.
func (h Headers) Delete(name string) {
	for other := range h {
		if strings.EqualFold(other, name) {
			delete(h, other)
		}
	}
}

// validHeaderName accepts a token of RFC 9110, section 5.6.2.
func validHeaderName(name string) bool {
	if name == "" || len(name) > maxHeaderName {
		return false
	}
	for _, c := range []byte(name) {
		if !isWordByte(c, "!#$%&'*+-.^_`|~") {
			return false
		}
	}
	return true
}

func validHeaderValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
