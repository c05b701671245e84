package webhook

import "slices"

// Rule is the reason why an endpoint does not receive a message.
type Rule string

// The rules. RuleNone means that the endpoint wants the message.
const (
	RuleNone      Rule = ""
	RuleEventType Rule = "event type"
	RuleChannel   Rule = "channel"
	RuleOnly      Rule = "meant for another endpoint"
)

// Filter returns the rule by which the endpoint does not receive the message, or RuleNone. An
// endpoint that names event types wants only those; one that names channels wants only messages
// that have one of them.
func (e *Endpoint) Filter(m *Message) Rule {
	if !m.Only.IsZero() {
		if m.Only == e.ID {
			return RuleNone
		}
		return RuleOnly
	}
	if len(e.EventTypes) > 0 && !slices.Contains(e.EventTypes, m.EventType) {
		return RuleEventType
	}
	if !e.WantsChannels(m.Channels) {
		return RuleChannel
	}
	return RuleNone
}

// WantsChannels reports whether the endpoint receives messages with these channels, if their event
// type is one that it wants.
func (e *Endpoint) WantsChannels(channels []string) bool {
	return len(e.Channels) == 0 || slices.ContainsFunc(channels, func(c string) bool { return slices.Contains(e.Channels, c) })
}

// Wants reports whether the endpoint receives the message.
func (e *Endpoint) Wants(m *Message) bool { return e.Filter(m) == RuleNone }
