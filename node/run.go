package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"hookwheel/config"
)

// minProcs is how many threads may run Go code at least. One that waits for the disk, in a system
// call or a page fault, keeps its place among them for up to 10 ms; on a machine of one or two
// cores hardly any would be left while the log and the store are synced.
const minProcs = 4

// closePatience is how long a node may take to stop once the API has drained.
const closePatience = 15 * time.Second

// Run runs a node until ctx ends or it fails; started is called when it serves, and may be nil.
func Run(ctx context.Context, config config.Config, version string, started func(*Node)) error {
	level := new(slog.LevelVar)
	level.Set(config.LogLevel)
	log := newLog(os.Stderr, &config, level)
	for _, warning := range config.Warnings() {
		log.Warn(warning)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(minProcs, runtime.GOMAXPROCS(0)))
	}
	defer boundMemory()()
	hangups := catchHangups(&config) // from now on: it may come while the node starts
	n, err := start(config, version, log, level)
	if err != nil {
		return err
	}
	log.Info("serving", "api", n.Addr(), "version", version)
	for what, address := range map[string]string{"portal": n.PortalAddr(), "metrics": n.MetricsAddr()} {
		if address != "" {
			log.Info("serving at an address of its own", what, address)
		}
	}
	defer n.reloadOn(hangups)()
	if started != nil {
		started(n)
	}
	select {
	case err := <-n.failed:
		return failure(err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }()
	patience := time.NewTimer(config.API.Drain + closePatience)
	defer patience.Stop()
	select {
	case <-patience.C:
		return fmt.Errorf("stopping the %s took longer than %s, so the process ended as after a crash; nothing is lost by that",
			n.closing.Load(), config.API.Drain+closePatience)
	case err := <-n.failed:
		return failure(err)
	case err := <-closed:
		if err != nil {
			return err
		}
	}
	log.Info("stopped")
	return nil
}

// newLog returns the log of a node.
func newLog(out io.Writer, config *config.Config, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(out, options)
	if config.LogJSON {
		handler = slog.NewJSONHandler(out, options)
	}
	return slog.New(handler).With("node", config.Node)
}

// failure returns the error that Run ends with, without closing the node first: after a failure,
// what is on the disk may not be what the node takes it for.
func failure(err error) error { return fmt.Errorf("this node can't go on: %w", err) }
