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
	if len(e.Channels) > 0 && !slices.ContainsFunc(m.Channels, func(c string) bool { return slices.Contains(e.Channels, c) }) {
		return RuleChannel
	}
	return RuleNone
}

// Wants reports whether the endpoint receives the message.
func (e *Endpoint) Wants(m *Message) bool { return e.Filter(m) == RuleNone }
