package delivery

import (
	"time"

	"hookwheel/webhook"
)

// maxTestTime is the longest time for a test, whatever the timeout of attempts.
const maxTestTime = 8 * time.Second

// newTester returns the Sender of tests. It has connections of its own, so that tests do not affect
// deliveries, and works on every node.
func newTester(config Config) *Sender {
	config.Timeout = min(config.Timeout, maxTestTime)
	config.Workers = 1 // idle connections
	s := newSender(&config)
	s.secrets.room = 0 // nothing would tell it to forget them
	return s
}

// Test makes a single attempt, under the rules of all others, and returns it. Nothing is recorded.
func (p *Pool) Test(endpoint *webhook.Endpoint, m *webhook.Message) webhook.Attempt {
	a, _, _ := p.tester.send(p.tester.begin(webhook.Delivery{Message: m, ID: m.ID, Endpoint: endpoint, Source: webhook.SourceManual, Number: 1}))
	return a
}
