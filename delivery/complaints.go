package delivery

import (
	"log/slog"
	"sync"
	"time"

	"hookwheel/webhook"
)

// complainPeriod is the least time between two log lines about the same problem, which may affect
// many endpoints, each of them tried often.
const complainPeriod = time.Minute

// complaints logs details, for the operator, of failures that customers can't fix and see little
// of.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	told map[reason]time.Time
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, told: make(map[reason]time.Time)}
}

func (c *complaints) make(why reason, endpoint *webhook.Endpoint, err error) {
	c.mu.Lock()
	now := time.Now()
	told := now.Sub(c.told[why]) < complainPeriod
	if !told {
		c.told[why] = now
	}
	c.mu.Unlock()
	if !told {
		c.log.Error("nothing can be sent to an endpoint, and perhaps to others", "endpoint", endpoint.ID.Text(webhook.KindEndpoint),
			"reason", string(why), "error", err)
	}
}
