package scheduler

// Lanes that lag read the log in windows, and keep what they have not taken yet. After an outage of
// a large receiver they may be thousands.
const (
	maxWindow      = 64        // messages in a window
	maxWindowBytes = 128 << 10 // and their size before the last one
	minWindowBytes = 2 * quantum
	allWindowBytes = 32 << 20
)

// windows bounds what the windows of all lanes take in memory.
type windows struct {
	held  map[*lane]int // bytes
	bytes int
}

// share returns how many messages, and of what size, one of so many lanes reads in one call: so
// few that all lanes can keep what they read until their next turns, but enough for one turn.
func (w *windows) share(lanes int) (messages, bytes int) {
	bytes = min(max(allWindowBytes/max(lanes, 1), minWindowBytes), maxWindowBytes)
	return maxWindow * bytes / maxWindowBytes, bytes
}

// hold counts the window that a lane has read. If all are too large, other lanes lose theirs, and
// read them again. Chance decides which ones: as lanes take turns, the window that was read first
// is needed next.
func (w *windows) hold(l *lane) {
	w.release(l)
	size := 0
	for _, m := range l.log.window {
		size += cost(m)
	}
	if size > 0 {
		w.held[l] = size
		w.bytes += size
	}
	for other := range w.held {
		if w.bytes <= allWindowBytes {
			return
		}
		if other != l {
			other.log.window = nil
			w.release(other)
		}
	}
}

// release no longer counts the window of a lane.
func (w *windows) release(l *lane) {
	w.bytes -= w.held[l]
	delete(w.held, l)
}
