package webhook

import (
	"fmt"
	"mime"
	"strings"
	"time"
)

// Message is one event sent to one application. It is stored once, regardless of how many
// endpoints want it.
type Message struct {
	ID          ID
	App         ID
	EventType   string
	EventID     string        // the producer's own id, unique in the application; may be empty
	Channels    []string      // empty: none
	Tags        []string      // labels that users search by; may be empty
	OrderingKey string        // for endpoints that keep an order per key; empty: none
	DeliverAt   time.Time     // not sent earlier, exact to the millisecond; zero: at once
	Retention   time.Duration // how long it is kept, in whole hours; 0: the retention of the cluster
	Only        ID            // the only endpoint that receives it, regardless of filters; zero: all that want it
	ContentType string        // of the payload; empty: application/json
	Raw         bool          // Payload need not be JSON
	Expunged    bool          // Payload was deleted, by a user or because its retention ended
	Trace       *TraceContext // of the request that created it; nil: it is not traced
	Payload     []byte        // sent byte for byte as it was received: a JSON object unless Raw
}

// JSONContentType is the default content type of messages.
const JSONContentType = "application/json"

// Limits on what a producer may request.
const (
	MinRetention  = time.Hour
	MaxRetention  = 90 * 24 * time.Hour
	maxScheduling = 365 * 24 * time.Hour
)

// Validate checks the fields that a producer sets; now is the time of the request. It does not
// check that Payload is a JSON object: the HTTP layer does.
func (m *Message) Validate(now time.Time) error {
	if err := validWord("eventType", m.EventType); err != nil {
		return err
	}
	if m.EventID != "" {
		if err := validWord("eventId", m.EventID); err != nil {
			return err
		}
		if hasPrefix(KindMessage, m.EventID) {
			return Invalid("eventId", "must not begin with msg_, which is how our own ids begin")
		}
	}
	if m.OrderingKey != "" {
		if err := validWord("orderingKey", m.OrderingKey); err != nil {
			return err
		}
	}
	if err := validTags(m.Tags); err != nil {
		return err
	}
	if m.Retention != 0 && (m.Retention < MinRetention || m.Retention > MaxRetention) {
		return Invalid("payloadRetentionHours", fmt.Sprintf("must be from 1 to %d hours", MaxRetention/time.Hour))
	}
	if !m.DeliverAt.IsZero() && m.DeliverAt.Sub(now) > maxScheduling {
		return Invalid("deliverAt", "must be at most a year from now")
	}
	if err := validContentType(m.ContentType); err != nil {
		return err
	}
	if m.Trace != nil {
		if err := m.Trace.validate(); err != nil {
			return err
		}
	}
	return validWords("channels", m.Channels, maxChannels, maxChannels*maxWord)
}

// validContentType reports whether text is allowed in a header.
func validContentType(text string) error {
	if text == "" {
		return nil
	}
	_, _, err := mime.ParseMediaType(text)
	if err != nil || len(text) > maxWord || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Invalid("transformationsParams/headers/content-type", "must be a media type such as application/xml")
	}
	return nil
}
