package webhook

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxURL is the longest URL, in bytes, that an endpoint may have.
const maxURL = 65536

// Endpoint is a URL of an application that wants some or all of its messages.
type Endpoint struct {
	ID          ID                `json:"id"`
	App         ID                `json:"app"`
	UID         string            `json:"uid,omitempty"` // the producer's own name for it, unique in the application
	URL         string            `json:"url"`
	Description string            `json:"description,omitempty"`
	EventTypes  []string          `json:"eventTypes,omitempty"` // empty: all
	Channels    []string          `json:"channels,omitempty"`   // empty: all
	Secret      Secret            `json:"secret"`
	RateLimit   uint16            `json:"rateLimit,omitempty"` // messages per second; 0: none
	Version     uint16            `json:"version"`
	Disabled    bool              `json:"disabled,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
}

// LogValue is the id alone: a handler that writes JSON would show the secret of a whole endpoint.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.ID.Text(KindEndpoint)) }

// Validate checks what a producer may choose, the secret included.
func (e *Endpoint) Validate() error {
	if err := validURL(e.URL); err != nil {
		return err
	}
	if err := validUID(KindEndpoint, e.UID); err != nil {
		return err
	}
	if err := validWords("eventTypes", e.EventTypes, maxEventTypes); err != nil {
		return err
	}
	if err := validWords("channels", e.Channels, maxChannels); err != nil {
		return err
	}
	if err := validText("description", e.Description); err != nil {
		return err
	}
	if err := e.Secret.Validate(); err != nil {
		return err
	}
	return validMetadata(e.Metadata)
}

// validURL accepts absolute http and https URLs with a host.
func validURL(text string) error {
	if len(text) > maxURL {
		return Invalid("url", "the URL is longer than 65,536 bytes")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return Invalid("url", "not an absolute URL such as https://example.com/hook")
	case u.Scheme != "http" && u.Scheme != "https":
		return Invalid("url", "the URL must begin with http:// or https://")
	case strings.ContainsAny(u.Host, ", "):
		return Invalid("url", "the host of the URL holds a comma or a space")
	case !isASCII(u.Host):
		return Invalid("url", "write the host of the URL in ASCII: xn--bcher-kva.example for bücher.example")
	case !validPort(u.Port()):
		return Invalid("url", "the port of the URL must be 1 to 65535")
	}
	return nil
}

// NormalURL is text as browsers would write it: lower-case scheme and host, and at least "/" for a path. It leaves
// alone what Validate refuses.
func NormalURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || validURL(text) != nil {
		return text
	}
	u.Host = strings.ToLower(u.Host)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String()
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// validPort accepts no port as well: it is the scheme's.
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}
