package config

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// tracesPath is where collectors take traces, according to OTLP.
const tracesPath = "/v1/traces"

// parseCollector accepts the base URL of a collector, as OTEL_EXPORTER_OTLP_ENDPOINT has it, or
// that for traces, and returns the latter. "" is none.
func parseCollector(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New(`must be the URL of a collector for OTLP over HTTP, such as "http://localhost:4318", without a user or a query`)
	}
	if u.Path = strings.TrimRight(u.Path, "/"); !strings.HasSuffix(u.Path, tracesPath) {
		u.Path += tracesPath
	}
	return u.String(), nil
}

// parseCollectorHeaders reads headers in the format of OTEL_EXPORTER_OTLP_HEADERS: a list of
// name=value, with percent-encoded values.
func parseCollectorHeaders(text string) (http.Header, error) {
	var headers http.Header
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if err != nil || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || value == "" {
			return nil, errors.New(`must be a list of name=value such as "authorization=Bearer%20abc,x-tenant=1", with values encoded as in URLs`)
		}
		if headers == nil {
			headers = make(http.Header)
		}
		headers.Set(name, value)
	}
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Host"} {
		if headers.Get(name) != "" {
			return nil, errors.New("must not contain " + name)
		}
	}
	return headers, nil
}

// parseReceiver accepts the host of a receiver's URL, or "*" for all.
func parseReceiver(text string) (string, error) {
	if text != "*" && !isHost(text) {
		return "", errors.New(`each must be a name such as "internal.example", which includes its subdomains, an address, or "*" for all receivers`)
	}
	return text, nil
}
