package cluster

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// raftLogger returns an hclog.Logger for Raft that writes to log, one level lower: Raft warns about
// every election and treats a node that is down as an error, both of which are normal in a cluster.
// After the end of the context they are logged at the debug level: a node that stops closes Raft's
// connections, and Raft warns about each. So is a node that was just admitted and refuses the first
// connection.
func raftLogger(closing context.Context, log *slog.Logger) hclog.Logger {
	level := hclog.Warn
	if log.Enabled(context.Background(), slog.LevelDebug) {
		level = hclog.Info
	}
	return hclog.New(&hclog.LoggerOptions{
		Level:       level,
		Output:      &raftLog{closing: closing, log: log.With("component", "raft")},
		DisableTime: true,
	})
}

// raftLog takes lines such as "[WARN]  failed to contact: server-id=n2 time=1.2s". Raft says at
// every try that a node is down.
type raftLog struct {
	closing context.Context
	log     *slog.Logger
	said    once
}

func (l *raftLog) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, strings.TrimSpace(string(line))
	for prefix, known := range map[string]slog.Level{"[WARN]": slog.LevelInfo, "[ERROR]": slog.LevelWarn} {
		if rest, found := strings.CutPrefix(text, prefix); found {
			level, text = known, rest
		}
	}
	text = strings.TrimSpace(strings.TrimPrefix(text, "[INFO]"))
	if l.closing.Err() != nil || strings.Contains(text, admittedText) {
		level = slog.LevelDebug
	}
	if level == slog.LevelDebug || l.said.isNew(withoutDigits(text)) {
		l.log.Log(context.Background(), level, text)
	}
	return len(line), nil
}

// withoutDigits makes lines equal that differ only in times and numbers.
func withoutDigits(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, text)
}

// warnings logs the same text at most once in sayInterval: a problem between two nodes recurs at
// every try.
type warnings struct {
	logger *slog.Logger
	said   once
}

func (w *warnings) log(text string, args ...any) {
	if w.said.isNew(withoutDigits(text)) {
		w.logger.Warn(text, args...)
	}
}

const (
	sayInterval = 30 * time.Second
	maxSaid     = 256 // different texts that are remembered
)

// once remembers which texts were logged recently.
type once struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// isNew reports whether to log a text now.
func (o *once) isNew(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.said[text]; ok && time.Since(last) < sayInterval {
		return false
	}
	if o.said == nil || len(o.said) >= maxSaid {
		o.said = make(map[string]time.Time)
	}
	o.said[text] = time.Now()
	return true
}
