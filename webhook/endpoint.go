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
	Keys        []Key             `json:"keys"`                 // that sign: the current one, then older ones until they expire
	Headers     Sealed            `json:"headers,omitempty"`    // own headers of its requests: a JSON object of strings, sealed
	RateLimit   uint16            `json:"rateLimit,omitempty"`  // messages per second; 0: none
	Version     uint16            `json:"version"`
	Disabled    bool              `json:"disabled,omitempty"` // nothing is sent; what comes waits in the log
	Paused      bool              `json:"paused,omitempty"`   // the same, by a person who means to go on
	Metadata    map[string]string `json:"metadata,omitempty"`
	Style       SignatureStyle    `json:"style,omitempty"`
	Envelope    bool              `json:"envelope,omitempty"`    // the payload goes out within {"webhook_id", "type", "timestamp", "data"}
	Ordering    Ordering          `json:"ordering,omitempty"`    //
	OnExhausted OnExhausted       `json:"onExhausted,omitempty"` // of an ordered endpoint
	InsecureTLS bool              `json:"insecureTLS,omitempty"` // its certificate is not verified
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	Revision    uint64            `json:"revision"`    // Raft index of the entry that changed it last
	FilterSince ID                `json:"filterSince"` // place in the log where its present filters began to hold
}

// Key is a signing key of an endpoint as it is kept: the text of a SigningKey, sealed.
type Key struct {
	Sealed  Sealed    `json:"sealed"`
	Expires time.Time `json:"expires,omitzero"` // when an older one stops to sign; zero: the current one
}

// MaxKeys is how many keys an endpoint may have, the current one included.
const MaxKeys = 11

// Ordering says whether messages may overtake one another on their way to an endpoint.
type Ordering string

// The orderings. A message is settled when it is delivered or given up.
const (
	OrderingNone     Ordering = ""
	OrderingEndpoint Ordering = "endpoint" // the next one goes out only after the one before is settled
	OrderingKey      Ordering = "key"      // the same among the messages with one OrderingKey; those without have no order
)

// OnExhausted says what an ordered endpoint does after the last attempt at a message has failed.
type OnExhausted string

// The choices.
const (
	OnExhaustedSkip  OnExhausted = ""      // gives the message up and goes on
	OnExhaustedBlock OnExhausted = "block" // tries on, at the last delay of the schedule: the endpoint, or the key, waits behind it
)

// LogValue is the id alone: a handler that writes JSON would show the secret of a whole endpoint.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.ID.Text(KindEndpoint)) }

// Validate checks what a producer may choose, but for what is sealed.
func (e *Endpoint) Validate() error {
	if err := validURL(e.URL); err != nil {
		return err
	}
	if err := validUID(KindEndpoint, e.UID); err != nil {
		return err
	}
	if err := validWords("eventTypes", e.EventTypes, maxEventTypes, maxEventTypesBytes); err != nil {
		return err
	}
	if err := validWords("channels", e.Channels, maxChannels, maxChannels*maxWord); err != nil {
		return err
	}
	if err := validText("description", e.Description); err != nil {
		return err
	}
	if err := e.validDelivery(); err != nil {
		return err
	}
	return validMetadata(e.Metadata)
}

// validDelivery checks what a producer may choose about the way messages are sent.
func (e *Endpoint) validDelivery() error {
	switch e.Style {
	case StyleStandard, StyleGitHub, StyleStripe, StyleHex:
	default:
		return Invalid("signatureStyle", "must be standard, github, stripe or hex")
	}
	switch e.Ordering {
	case OrderingNone, OrderingEndpoint, OrderingKey:
	default:
		return Invalid("ordering", "must be endpoint, key or null")
	}
	switch e.OnExhausted {
	case OnExhaustedSkip, OnExhaustedBlock:
	default:
		return Invalid("onExhausted", "must be skip or block")
	}
	return nil
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

// MaskURL is text without the password that it may hold beside a user.
func MaskURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	if _, given := u.User.Password(); !given {
		return text
	}
	return u.Redacted()
}

func isASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// validPort accepts no port as well: it is the scheme's.
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && number > 0
}
