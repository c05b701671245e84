package scheduler

import (
	"cmp"
	"maps"
	"slices"

	"hookwheel/webhook"
)

// maxLoaded is how many lines of a retry set are read at a time. Twice as many may be in memory.
const maxLoaded = 1024

// retrySet is the part of a lane's retry set that is in memory: the first lines, by due time and
// message.
type retrySet struct {
	lane     *lane
	loaded   map[webhook.ID]*retry
	due      []*retry
	out      map[webhook.ID]struct{} // lines that were handed out, and not recorded
	all      bool                    // all lines are in loaded or out; else
	from     webhook.Retry           // those before this one are
	hasty    bool                    // lines that are read next are due, too
	reading  bool                    // the store is asked for what follows, and may answer with what was before
	recorded []webhook.ID            // lines that were settled meanwhile
	came     []webhook.Retry         // lines that came meanwhile
	unsure   []webhook.Retry         // lines that may have been made
}

// retry is a line of the retry set in memory.
type retry struct {
	webhook.Retry
	timer timer[alarm]
	due   bool
	hasty bool // though its time has not come
	gone  bool // settled in another way
}

func newRetrySet(l *lane) retrySet {
	return retrySet{lane: l}
}

func compareLines(a, b *webhook.Retry) int {
	return cmp.Or(a.Due.Compare(b.Due), a.Message.Compare(b.Message))
}

// wantsLines reports whether there may be lines that are not in memory but soon should be.
func (r *retrySet) wantsLines() bool {
	return len(r.loaded) == 0 && !r.all
}

// isDue reports whether the line of a message is due.
func (r *retrySet) isDue(message webhook.ID) bool {
	line := r.loaded[message]
	return line != nil && line.due
}

// fire makes a line due.
func (r *retrySet) fire(line *retry) {
	line.due = true
	r.due = append(r.due, line)
}

// fireFirst makes a line due again that was taken and could not go: it comes first.
func (r *retrySet) fireFirst(line *retry) {
	line.due = true
	r.due = slices.Insert(r.due, 0, line)
}

// received takes what follows, of which one more than maxLoaded lines were asked for, and returns
// the lines to take into memory, if they belong there.
func (r *retrySet) received(list []webhook.Retry) (lines []webhook.Retry) {
	if r.all = len(list) <= maxLoaded; !r.all {
		r.from, list = list[maxLoaded], list[:maxLoaded]
	}
	for _, line := range list {
		if _, out := r.out[line.Message]; !out {
			lines = append(lines, line)
		}
	}
	return append(lines, r.endReading()...)
}

// endReading returns the lines that came while the store was being read.
func (r *retrySet) endReading() (came []webhook.Retry) {
	for _, message := range r.recorded {
		unmark(&r.out, message)
	}
	came = r.came
	r.reading, r.recorded, r.came = false, nil, nil
	return came
}

// belongs reports whether a line should be in memory now, and is not yet. One that all others wait
// for is, whenever it is due.
func (r *retrySet) belongs(line *webhook.Retry) bool {
	_, out := r.out[line.Message]
	return !out && r.loaded[line.Message] == nil && (r.all || compareLines(line, &r.from) < 0 || r.lane.order.isBlocker(line.Message))
}

// load takes a line into memory.
func (r *retrySet) load(line webhook.Retry) *retry {
	loaded := &retry{Retry: line}
	loaded.timer.Value = alarm{r.lane, loaded}
	r.keep(loaded)
	return loaded
}

// keep keeps a line in memory.
func (r *retrySet) keep(line *retry) {
	if r.loaded == nil {
		r.loaded = make(map[webhook.ID]*retry)
	}
	r.loaded[line.Message] = line
}

// mark and unmark change a set that costs nothing while it is empty: there is one in each lane.
func mark(set *map[webhook.ID]struct{}, id webhook.ID) {
	if *set == nil {
		*set = make(map[webhook.ID]struct{})
	}
	(*set)[id] = struct{}{}
}

func unmark(set *map[webhook.ID]struct{}, id webhook.ID) {
	if delete(*set, id); len(*set) == 0 {
		*set = nil
	}
}

// shed forgets the later lines if there are too many, and returns them.
func (r *retrySet) shed() (far []*retry) {
	if len(r.loaded) <= 2*maxLoaded || r.reading {
		return nil
	}
	lines := slices.SortedFunc(maps.Values(r.loaded), func(a, b *retry) int { return compareLines(&a.Retry, &b.Retry) })
	far = lines[maxLoaded:]
	r.all, r.from = false, far[0].Retry
	far = slices.DeleteFunc(far, func(line *retry) bool { return r.lane.order.isBlocker(line.Message) })
	for _, line := range far {
		r.drop(line.Message)
	}
	r.due = slices.DeleteFunc(r.due, func(line *retry) bool { return line.gone })
	return far
}

// settle says that what became of a message's line is recorded.
func (r *retrySet) settle(message webhook.ID) {
	if r.reading {
		mark(&r.out, message)
		r.recorded = append(r.recorded, message)
		return
	}
	unmark(&r.out, message)
}

// drop forgets a message's line, which it returns: it is settled. nil: it is not in memory.
func (r *retrySet) drop(message webhook.ID) *retry {
	line := r.loaded[message]
	if line != nil {
		line.gone = true
		if delete(r.loaded, message); len(r.loaded) == 0 {
			r.loaded = nil
		}
	}
	return line
}

// hasten makes the lines due that have waited for another attempt, with the oldest message first;
// each is told to stop.
func (r *retrySet) hasten(stop func(*retry) (stopped bool)) {
	r.hasty = !r.all
	for _, line := range r.loaded {
		if line.Made > 0 && stop(line) {
			line.hasty = true
			r.fire(line)
		}
	}
	slices.SortFunc(r.due, func(a, b *retry) int { return a.Message.Compare(b.Message) })
}

// notDue drops lines that are not due after all from those that are.
func (r *retrySet) notDue() {
	r.due = slices.DeleteFunc(r.due, func(line *retry) bool { return !line.due })
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
