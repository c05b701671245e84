package webhook

import (
	"bytes"
	"log/slog"
	"slices"
	"time"
)

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
	Paused      bool              `json:"paused,omitempty"`   // the same, by a user, for a while
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

// SendsLike reports whether requests to e are the same as to another state of it.
func (e *Endpoint) SendsLike(other *Endpoint) bool {
	return e == other || e.URL == other.URL && e.InsecureTLS == other.InsecureTLS && e.Style == other.Style && e.Envelope == other.Envelope &&
		bytes.Equal(e.Headers, other.Headers) && slices.EqualFunc(e.Keys, other.Keys, func(a, b Key) bool { return bytes.Equal(a.Sealed, b.Sealed) })
}

// Validate checks what a producer may choose, but for what is sealed.
func (e *Endpoint) Validate() error {
	if _, err := ParseURL(e.URL); err != nil {
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
