package webhook

import (
	"fmt"
	"testing"
)

func TestFilter(t *testing.T) {
	words := func(w ...string) []string { return w }
	tests := map[string]struct {
		eventTypes, channels []string // of the endpoint
		eventType            string   // of the message
		messageChannels      []string
		want                 Rule
	}{
		"no filters":                  {nil, nil, "user.created", nil, RuleNone},
		"no filters, channels":        {nil, nil, "user.created", words("a"), RuleNone},
		"empty filters":               {words(), words(), "user.created", nil, RuleNone},
		"its event type":              {words("user.created"), nil, "user.created", nil, RuleNone},
		"one of its event types":      {words("user.deleted", "user.created"), nil, "user.created", nil, RuleNone},
		"other event type":            {words("user.created"), nil, "user.deleted", nil, RuleEventType},
		"a group is not a wildcard":   {words("user"), nil, "user.created", nil, RuleEventType},
		"case counts":                 {words("User.Created"), nil, "user.created", nil, RuleEventType},
		"its channel":                 {nil, words("a"), "user.created", words("a"), RuleNone},
		"one channel in common":       {nil, words("a", "b"), "user.created", words("c", "b"), RuleNone},
		"no channel in common":        {nil, words("a", "b"), "user.created", words("c"), RuleChannel},
		"message without channels":    {nil, words("a"), "user.created", nil, RuleChannel},
		"both fit":                    {words("user.created"), words("a"), "user.created", words("a"), RuleNone},
		"only the event type fits":    {words("user.created"), words("a"), "user.created", words("b"), RuleChannel},
		"only the channel fits":       {words("user.created"), words("a"), "user.deleted", words("a"), RuleEventType},
		"neither: the event type won": {words("user.created"), words("a"), "user.deleted", words("b"), RuleEventType},
	}
	for name, test := range tests {
		for _, disabled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, disabled %t", name, disabled), func(t *testing.T) {
				e := &Endpoint{EventTypes: test.eventTypes, Channels: test.channels, Disabled: disabled}
				m := &Message{EventType: test.eventType, Channels: test.messageChannels}
				if got := e.Filter(m); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if e.Wants(m) != (test.want == RuleNone) {
					t.Error("Wants says otherwise than Filter")
				}
			})
		}
	}
}

func TestFilterDoesNotAllocate(t *testing.T) {
	e := &Endpoint{EventTypes: []string{"user.deleted", "user.created"}, Channels: []string{"a", "b"}}
	m := &Message{EventType: "user.created", Channels: []string{"c", "b"}}
	if n := testing.AllocsPerRun(100, func() { e.Wants(m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
