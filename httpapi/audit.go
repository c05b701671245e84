package httpapi

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/webhook"
)

// Events that concern the security of the cluster.
const (
	auditTokenRefused = "token_refused"
	auditKeyMade      = "key_created"
	auditKeyRevoked   = "key_revoked"
	auditTokensEnded  = "tokens_expired"
	auditSecretRead   = "secret_read"
	auditBackup       = "backup_read"
	auditMemberAdded  = "member_added"
	auditMemberGone   = "member_removed"
	auditReloaded     = "configuration_reloaded"
)

const refusedPause = time.Second // between log messages about refused tokens

// audit counts and logs security events. It never sees a token or a secret.
type audit struct {
	log    *slog.Logger
	events *prometheus.CounterVec

	mu      sync.Mutex
	refused int    // tokens since the last message
	last    net.IP // that sent one
	waits   bool   // a message will be logged, or there has just been one
}

func newAudit(log *slog.Logger, metrics *prometheus.Registry) *audit {
	a := &audit{log: log, events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookwheel_security_events_total",
		Help: "Tokens refused, keys made and revoked, secrets and backups read, members added and removed, configurations reloaded by requests to this node."},
		[]string{"event"})}
	for _, event := range []string{auditTokenRefused, auditKeyMade, auditKeyRevoked, auditTokensEnded, auditSecretRead, auditBackup, auditMemberAdded, auditMemberGone, auditReloaded} {
		a.events.WithLabelValues(event)
	}
	metrics.MustRegister(a.events)
	return a
}

// refusedToken records a request without a token that is valid at its address. Anyone can send
// these, so several share a log message.
func (a *audit) refusedToken(from net.IP) {
	a.events.WithLabelValues(auditTokenRefused).Inc()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	a.last = from
	if !a.waits {
		a.sayRefusedLocked()
	}
}

// sayRefusedLocked logs the tokens that were refused, and again after refusedPause if there are
// more by then.
func (a *audit) sayRefusedLocked() {
	if a.waits = a.refused > 0; !a.waits {
		return
	}
	a.log.Warn("requests without a token that is valid at their address were refused", "event", auditTokenRefused, "count", a.refused, "last", a.last.String())
	a.refused = 0
	time.AfterFunc(refusedPause, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.sayRefusedLocked()
	})
}

// note records what a caller has done; attributes are IDs only, for slog.
func (a *audit) note(caller *webhook.APIKey, from net.IP, event string, attributes ...any) {
	a.events.WithLabelValues(event).Inc()
	by := string(caller.Role)
	if !caller.ID.IsZero() {
		by = caller.ID.Text(webhook.KindAPIKey)
	}
	a.log.Info("security event", append([]any{"event", event, "by", by, "from", from.String()}, attributes...)...)
}
