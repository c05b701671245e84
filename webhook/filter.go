package webhook

import "slices"

// Rule is what kept a message from an endpoint.
type Rule string

// The rules. RuleNone: the endpoint wants the message.
const (
	RuleNone      Rule = ""
	RuleEventType Rule = "event type"
	RuleChannel   Rule = "channel"
	RuleOnly      Rule = "meant for another endpoint"
)

// Filter says which rule of the endpoint keeps the message from it. An endpoint that names event
// types wants only those; one that names channels wants only messages that have one of them.
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

// Wants reports whether no rule keeps the message from the endpoint.
func (e *Endpoint) Wants(m *Message) bool { return e.Filter(m) == RuleNone }
