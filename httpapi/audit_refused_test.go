package httpapi

import (
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/wait"
)

// Refused tokens share a line a second, also the last ones, after which nobody comes.
func TestAllRefusedTokensAreLogged(t *testing.T) {
	var log wait.Log
	a := newAudit(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	for i := range 100 {
		a.refusedToken(net.IPv4(192, 0, 2, byte(i)))
	}
	wait.For(t, "a line about the others", func() bool {
		return strings.Contains(log.String(), "count=1 last=192.0.2.0") && strings.Contains(log.String(), "count=99 last=192.0.2.99")
	})
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines: %s", lines, log.String())
	}
}
