package httpapi

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// Events of which an operator wants to know.
const (
	auditTokenRefused = "token_refused"
	auditKeyMade      = "key_created"
	auditKeyRevoked   = "key_revoked"
	auditTokensEnded  = "tokens_expired"
	auditSecretRead   = "secret_read"
	auditBackup       = "backup_read"
	auditMemberAdded  = "member_added"
	auditMemberGone   = "member_removed"
)

const refusedPause = time.Second // between two lines about refused tokens

// audit counts and logs what bears on who may do what. It never sees a token or a secret.
type audit struct {
	log    *slog.Logger
	events *prometheus.CounterVec

	mu      sync.Mutex
	refused int       // tokens since said
	said    time.Time // when the last line about refused tokens was written
}

func newAudit(log *slog.Logger, metrics *prometheus.Registry) *audit {
	a := &audit{log: log, events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookwheel_security_events_total",
		Help: "Tokens refused, keys made and revoked, secrets and backups read, members added and removed by requests to this node."},
		[]string{"event"})}
	for _, event := range []string{auditTokenRefused, auditKeyMade, auditKeyRevoked, auditTokensEnded, auditSecretRead, auditBackup, auditMemberAdded, auditMemberGone} {
		a.events.WithLabelValues(event)
	}
	metrics.MustRegister(a.events)
	return a
}

// refusedToken notes a request without a valid token. Anybody can make these, so they share a line.
func (a *audit) refusedToken(from net.IP) {
	a.events.WithLabelValues(auditTokenRefused).Inc()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused++
	if now := time.Now(); now.Sub(a.said) >= refusedPause {
		a.log.Warn("requests without a valid token were refused", "event", auditTokenRefused, "count", a.refused, "last", from.String())
		a.refused, a.said = 0, now
	}
}

// note writes down what a caller has done; more is for slog, and is about ids only.
func (a *audit) note(ctx *fasthttp.RequestCtx, event string, more ...any) {
	a.events.WithLabelValues(event).Inc()
	by := caller(ctx)
	who := string(by.Role)
	if !by.ID.IsZero() {
		who = by.ID.Text(webhook.KindAPIKey)
	}
	a.log.Info("security event", append([]any{"event", event, "by", who, "from", ctx.RemoteIP().String()}, more...)...)
}
