package cluster

import (
	"context"
	"log/slog"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// raftLogger lets Raft, which wants a logger of its own maker's, write to ours, a level lower than Raft thinks: it warns of
// every election and calls a node that is down an error, which a cluster is made to bear.
func raftLogger(log *slog.Logger) hclog.Logger {
	level := hclog.Warn
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = hclog.Info
	}
	return hclog.New(&hclog.LoggerOptions{
		Level:       level,
		Output:      raftLog{log.With("component", "raft")},
		DisableTime: true,
	})
}

// raftLog takes lines such as "[WARN]  failed to contact: server-id=n2 time=1.2s".
type raftLog struct{ log *slog.Logger }

func (l raftLog) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, strings.TrimSpace(string(line))
	for prefix, known := range map[string]slog.Level{"[WARN]": slog.LevelInfo, "[ERROR]": slog.LevelWarn} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			level, text = known, rest
		}
	}
	text = strings.TrimPrefix(text, "[INFO]")
	l.log.Log(context.Background(), level, strings.TrimSpace(text))
	return len(line), nil
}
