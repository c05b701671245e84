package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// maxLoaded is how many lines of a retry set stand in memory, about.
const maxLoaded = 1024

// forever is a horizon behind which there is nothing.
var forever = time.UnixMilli(1<<62 - 1)

// retrySet is the part of a lane's retry set that stands in memory: all its lines up to horizon are in loaded, on the wheel or in due.
type retrySet struct {
	lane    *lane
	loaded  map[webhook.ID]*retry
	due     []*retry
	horizon time.Time
	latest  time.Time       // due time of the last line in memory
	unsure  []webhook.Retry // lines that may have been made
}

// retry is a line of the retry set in memory.
type retry struct {
	webhook.Retry
	timer timer[alarm]
	due   bool
	gone  bool // settled in another way
}

func newRetrySet(l *lane) retrySet {
	return retrySet{lane: l, loaded: make(map[webhook.ID]*retry), horizon: time.UnixMilli(-1)}
}

// wantsLines tells whether there may be lines that are not in memory but soon should be.
func (r *retrySet) wantsLines() bool {
	return len(r.loaded) == 0 && r.horizon.Before(forever) || len(r.unsure) > 0
}

// isDue tells whether the line of a message is due.
func (r *retrySet) isDue(message webhook.ID) bool {
	line := r.loaded[message]
	return line != nil && line.due
}

// fire makes a line due.
func (r *retrySet) fire(line *retry) {
	line.due = true
	r.due = append(r.due, line)
}

// from is where to go on reading.
func (r *retrySet) from() time.Time { return r.horizon.Add(time.Millisecond) }

// received notes that list is what follows, of at most maxLoaded lines.
func (r *retrySet) received(list []webhook.Retry) {
	if len(list) < maxLoaded {
		r.horizon = forever
	} else {
		r.horizon = list[len(list)-1].Due
	}
}

// belongs tells whether a line is to be in memory now, and is not yet.
func (r *retrySet) belongs(line *webhook.Retry) bool {
	if _, loaded := r.loaded[line.Message]; loaded {
		return false
	}
	if len(r.loaded) >= maxLoaded && r.horizon.Equal(forever) {
		r.horizon = r.latest
	}
	return !line.Due.After(r.horizon)
}

// load takes a line into memory.
func (r *retrySet) load(line webhook.Retry) *retry {
	loaded := &retry{Retry: line}
	loaded.timer.Value = alarm{r.lane, loaded}
	r.loaded[line.Message] = loaded
	if line.Due.After(r.latest) {
		r.latest = line.Due
	}
	return loaded
}

// drop forgets a message's line, which it returns: it is settled. nil: it is not in memory.
func (r *retrySet) drop(message webhook.ID) *retry {
	line := r.loaded[message]
	if line != nil {
		line.gone = true
		delete(r.loaded, message)
	}
	return line
}

// hasten makes the lines due that have waited for another attempt, with the oldest message first; each is told to stop.
func (r *retrySet) hasten(stop func(*retry) (stopped bool)) {
	for _, line := range r.loaded {
		if line.Made > 0 && stop(line) {
			r.fire(line)
		}
	}
	slices.SortFunc(r.due, func(a, b *retry) int { return a.Message.Compare(b.Message) })
}

// oldest is the line of the oldest message that was tried; nil: none was.
func (r *retrySet) oldest() (oldest *retry) {
	for _, line := range r.loaded {
		if line.Made > 0 && (oldest == nil || oldest.Message.After(line.Message)) {
			oldest = line
		}
	}
	return oldest
}

// takeMessage hands out the line of a message if it is due; nil: it is not.
func (r *retrySet) takeMessage(message webhook.ID) *retry {
	for i, line := range r.due {
		if line.Message == message && !line.gone {
			r.due = slices.Delete(r.due, i, i+1)
			return line
		}
	}
	return nil
}

// take hands out the line that has been due longest; nil: none is.
func (r *retrySet) take() *retry {
	for len(r.due) > 0 {
		line := r.due[0]
		r.due[0] = nil
		r.due = r.due[1:]
		if !line.gone {
			return line
		}
	}
	return nil
}
