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
	UID         string            `json:"uid,omitempty"` // the producer's own id, unique in the application
	URL         string            `json:"url"`
	Description string            `json:"description,omitempty"`
	EventTypes  []string          `json:"eventTypes,omitempty"` // empty: all
	Channels    []string          `json:"channels,omitempty"`   // empty: all
	Keys        []Key             `json:"keys"`                 // signing keys: the current one, then older ones until they expire
	Headers     Sealed            `json:"headers,omitempty"`    // additional request headers: a JSON object of strings, sealed
	RateLimit   uint16            `json:"rateLimit,omitempty"`  // messages per second; 0: none
	Version     uint16            `json:"version"`
	Disabled    bool              `json:"disabled,omitempty"` // nothing is sent; new messages wait in the log
	Paused      bool              `json:"paused,omitempty"`   // as Disabled, but temporarily, by a user
	Metadata    map[string]string `json:"metadata,omitempty"`
	Style       SignatureStyle    `json:"style,omitempty"`
	Envelope    bool              `json:"envelope,omitempty"`    // the payload is sent inside {"webhook_id", "type", "timestamp", "data"}
	Ordering    Ordering          `json:"ordering,omitempty"`    //
	OnExhausted OnExhausted       `json:"onExhausted,omitempty"` // of an ordered endpoint
	InsecureTLS bool              `json:"insecureTLS,omitempty"` // its certificate is not verified
	CreatedAt   time.Time         `json:"createdAt"`
	UpdatedAt   time.Time         `json:"updatedAt"`
	Revision    uint64            `json:"revision"`    // Raft index of the entry that changed it last
	FilterSince ID                `json:"filterSince"` // position in the log from which its current filters apply
}

// Key is a signing key of an endpoint as it is stored: the text of a SigningKey, sealed.
type Key struct {
	Sealed  Sealed    `json:"sealed"`
	Expires time.Time `json:"expires,omitzero"` // when an older key stops signing; zero: the current key
}

// MaxKeys is how many keys an endpoint may have, including the current one.
const MaxKeys = 11

// Ordering is the order in which messages reach an endpoint.
type Ordering string

// The orderings. A message is settled when it is delivered or given up.
const (
	OrderingNone     Ordering = ""
	OrderingEndpoint Ordering = "endpoint" // each message is sent only after the previous one is settled
	OrderingKey      Ordering = "key"      // the same among messages with the same OrderingKey; messages without a key have no order
)

// OnExhausted says what an ordered endpoint does after the last attempt at a message has failed.
type OnExhausted string

// The choices.
const (
	OnExhaustedSkip  OnExhausted = ""      // gives the message up and continues with the next
	OnExhaustedBlock OnExhausted = "block" // keeps trying at the last delay of the schedule; the endpoint, or the key, waits behind it
)

// LogValue returns only the id: a handler that writes JSON would log the endpoint's secrets.
func (e Endpoint) LogValue() slog.Value { return slog.StringValue(e.ID.Text(KindEndpoint)) }

// SendsLike reports whether requests to e are the same as to other, another state of the endpoint.
func (e *Endpoint) SendsLike(other *Endpoint) bool {
	return e == other || e.URL == other.URL && e.InsecureTLS == other.InsecureTLS && e.Style == other.Style && e.Envelope == other.Envelope &&
		bytes.Equal(e.Headers, other.Headers) && slices.EqualFunc(e.Keys, other.Keys, func(a, b Key) bool { return bytes.Equal(a.Sealed, b.Sealed) })
}

// Validate checks the fields that a producer sets, except for sealed ones.
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

// validDelivery checks the fields that say how messages are sent.
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
