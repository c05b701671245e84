package node

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/config"
	"hookwheel/httpapi"
	"hookwheel/wal"
)

// reloads is the configuration in effect, which Reload replaces.
type reloads struct {
	level   *slog.LevelVar
	success prometheus.Gauge

	mu  sync.Mutex
	now config.Config
}

func (r *reloads) start(config config.Config, level *slog.LevelVar, metrics prometheus.Registerer) {
	r.now, r.level = config, level
	r.success = prometheus.NewGauge(prometheus.GaugeOpts{Name: "hookwheel_config_last_reload_successful",
		Help: "0 if the configuration could not be read when it was last to be reloaded, so that the one before is in effect."})
	r.success.Set(1)
	metrics.MustRegister(r.success)
}

// Reload reads the configuration again and puts into effect what can change while the node runs. If
// it can't be used, nothing changes.
func (n *Node) Reload() (httpapi.Reloaded, error) {
	r := &n.reloads
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := r.now.Reload()
	if err != nil {
		r.success.Set(0)
		n.log.Error("the configuration was not reloaded, and nothing has changed", "error", err)
		return httpapi.Reloaded{}, err
	}
	var found httpapi.Reloaded
	r.now, found.Changed, found.Restart = r.now.With(&next)
	r.level.Set(r.now.LogLevel)
	n.writer.Limit(limits(&r.now))
	n.pool.SetNetworks(r.now.Delivery.Allow, r.now.Delivery.Deny)
	n.api.Change(changeable(&r.now))
	r.success.Set(1)
	n.log.Info("the configuration was reloaded", "changed", found.Changed)
	if len(found.Restart) > 0 {
		n.log.Warn("some changes of the configuration take effect only when the node is restarted", "settings", found.Restart)
	}
	for _, warning := range next.Warnings() {
		n.log.Warn(warning)
	}
	return found, nil
}

// catchHangups returns where SIGHUP arrives, which otherwise ends the process. It still ends one
// whose configuration can't be read again: that of "hookwheel dev" in a terminal that is closed.
func catchHangups(config *config.Config) chan os.Signal {
	hangups := make(chan os.Signal, 1)
	if config.IsLoaded() {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	return hangups
}

// reloadOn reloads the configuration whenever the process gets SIGHUP.
func (n *Node) reloadOn(hangups chan os.Signal) (end func()) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for range hangups {
			_, _ = n.Reload() // which logs what is wrong
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-stopped
	}
}

func limits(c *config.Config) wal.Limits {
	return wal.Limits{Applications: c.Limits.Applications, EventTypes: c.Limits.EventTypes, Endpoints: c.Limits.Endpoints, Replays: c.Limits.Replays}
}

// changeable returns what the API uses of the settings that can change.
func changeable(c *config.Config) httpapi.Changeable {
	settings := c.Effective()
	list := make([]httpapi.Setting, len(settings))
	for i, setting := range settings {
		list[i] = httpapi.Setting(setting)
	}
	return httpapi.Changeable{
		Token: c.API.Token, JWTSecret: c.API.JWTSecret, PortalURL: c.API.PortalURL, CORS: c.API.CORS,
		AccessLog: c.API.AccessLog, FrameAncestors: c.Portal.FrameAncestors, RefreshURL: c.Portal.RefreshURL,
		Manual: c.Limits.ManualSends, KeyRequests: c.Limits.KeyRequests, PortalRequests: c.Limits.PortalRequests,
		Delivery: httpapi.DeliveryFacts{Retry: c.Delivery.Retry, Timeout: c.Delivery.Timeout, Retention: c.Storage.Retention, Sources: c.Delivery.SourceAddresses},

		Configuration: list,
	}
}
