package scheduler

import (
	"cmp"
	"slices"
	"time"

	"hookwheel/webhook"
)

const (
	maxLoaded = 1024    // lines of a retry set that are read at a time; twice as many may be in memory
	minLoaded = 16      // where there are many lanes
	allLoaded = 1 << 19 // lines in memory, unless there are more than 16,384 lanes
)

// linesPerLane returns how many lines of its retry set a lane reads at a time.
func (s *Scheduler) linesPerLane() int {
	return min(max(allLoaded/2/max(len(s.lanes), 1), minLoaded), maxLoaded)
}

// retrySet is the part of a lane's retry set that is in memory: the first lines, by due time and
// message.
type retrySet struct {
	lane    *lane
	loaded  []*retry // by message: for the few lines of most lanes a map would take far more
	due     []*retry
	out     map[webhook.ID]time.Time // lines that were handed out, and not recorded: when they were due
	moot    map[webhook.ID]struct{}  // messages that a manual attempt has delivered, which is not recorded
	all     bool                     // all lines are in loaded or out; else
	hasty   bool                     // lines that are read next are due, too
	from    *webhook.Retry           // those before this one are; nil: none
	reading *readingLines            // the store is asked for what follows, and may answer with what was before; nil: it is not
	unsure  []webhook.Retry          // lines that may have been made
}

// readingLines is what has happened to a retry set since the store was asked.
type readingLines struct {
	recorded []webhook.Retry // lines that were settled; with a zero Due, whichever the message has
	came     []webhook.Retry
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
	line := r.line(message)
	return line != nil && line.due
}

// line returns the line of a message; nil: it is not in memory.
func (r *retrySet) line(message webhook.ID) *retry {
	if i, found := r.find(message); found {
		return r.loaded[i]
	}
	return nil
}

// find returns where in loaded the line of a message is, or belongs.
func (r *retrySet) find(message webhook.ID) (i int, found bool) {
	return slices.BinarySearchFunc(r.loaded, message, func(line *retry, message webhook.ID) int { return line.Message.Compare(message) })
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

// received takes what follows, of which one line more than limit was asked for, and returns the
// lines to take into memory, if they belong there.
func (r *retrySet) received(list []webhook.Retry, limit int) (lines []webhook.Retry) {
	r.all, r.from = len(list) <= limit, nil
	if !r.all {
		next := list[limit]
		r.from, list = &next, list[:limit]
	}
	for _, line := range list {
		if !r.isOut(line.Message) && !r.isRecorded(&line) {
			lines = append(lines, line)
		}
	}
	return append(lines, r.endReading()...)
}

// beginReading returns the line from which the store is to be read on.
func (r *retrySet) beginReading() (from webhook.Retry) {
	r.reading = new(readingLines)
	if r.from != nil {
		from = *r.from
	}
	return from
}

// endReading returns the lines that came while the store was being read.
func (r *retrySet) endReading() (came []webhook.Retry) {
	came, r.reading = r.reading.came, nil
	return came
}

// belongs reports whether a line should be in memory now, and is not yet. One that all others wait
// for is, whenever it is due.
func (r *retrySet) belongs(line *webhook.Retry) bool {
	return !r.isOut(line.Message) && r.line(line.Message) == nil && (r.all || r.from != nil && compareLines(line, r.from) < 0 || r.lane.order.isBlocker(line.Message))
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
	i, found := r.find(line.Message)
	if found {
		r.loaded[i] = line
		return
	}
	r.loaded = slices.Insert(r.loaded, i, line)
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

// without removes an element, and withoutFirst the first one. The array goes with the last one: in
// each lane there are several, and most are idle.
func without[T any](list []T, i int) []T {
	if len(list) == 1 {
		return nil
	}
	return slices.Delete(list, i, i+1)
}

func withoutFirst[T any](list []T) []T {
	if len(list) == 1 {
		return nil
	}
	clear(list[:1])
	return list[1:]
}

// shed forgets all but the first limit lines if there are more than twice as many, and returns
// those that it forgets.
func (r *retrySet) shed(limit int) (far []*retry) {
	if len(r.loaded) <= 2*limit || r.reading != nil {
		return nil
	}
	lines := slices.SortedFunc(slices.Values(r.loaded), func(a, b *retry) int { return compareLines(&a.Retry, &b.Retry) })
	far = lines[limit:]
	next := far[0].Retry
	r.all, r.from = false, &next
	far = slices.DeleteFunc(far, func(line *retry) bool { return r.lane.order.isBlocker(line.Message) })
	for _, line := range far {
		r.drop(line.Message)
	}
	r.due = slices.DeleteFunc(r.due, func(line *retry) bool { return line.gone })
	return far
}

// handOut notes that a line is handed out.
func (r *retrySet) handOut(line *retry) {
	if r.out == nil {
		r.out = make(map[webhook.ID]time.Time)
	}
	r.out[line.Message] = line.Due
}

// isOut reports whether no line of a message may be in memory.
func (r *retrySet) isOut(message webhook.ID) bool {
	_, out := r.out[message]
	_, moot := r.moot[message]
	return out || moot
}

// isMoot reports whether a line that was handed out is not to be sent, because a manual attempt has
// delivered its message meanwhile.
func (r *retrySet) isMoot(message webhook.ID, due time.Time) bool {
	_, moot := r.moot[message]
	at, out := r.out[message]
	return moot || !out || !at.Equal(due)
}

// settle says that what became of a line is recorded.
func (r *retrySet) settle(message webhook.ID, due time.Time) {
	if at, out := r.out[message]; out && at.Equal(due) {
		r.unmark(message)
	}
	r.record(webhook.Retry{Message: message, Due: due})
}

// settleAll says that the success of a manual attempt is recorded, with which the message has no
// line.
func (r *retrySet) settleAll(message webhook.ID) {
	unmark(&r.moot, message)
	r.unmark(message)
	r.record(webhook.Retry{Message: message})
}

func (r *retrySet) unmark(message webhook.ID) {
	if delete(r.out, message); len(r.out) == 0 {
		r.out = nil
	}
}

// record keeps a line that was settled from being taken for one that exists.
func (r *retrySet) record(line webhook.Retry) {
	if r.reading != nil {
		r.reading.recorded = append(r.reading.recorded, line)
	}
}

// isRecorded reports whether a line that was read was settled meanwhile.
func (r *retrySet) isRecorded(line *webhook.Retry) bool {
	return slices.ContainsFunc(r.reading.recorded, func(settled webhook.Retry) bool {
		return settled.Message == line.Message && (settled.Due.IsZero() || settled.Due.Equal(line.Due))
	})
}

// drop forgets a message's line, which it returns: it is settled. nil: it is not in memory.
func (r *retrySet) drop(message webhook.ID) *retry {
	i, found := r.find(message)
	if !found {
		return nil
	}
	line := r.loaded[i]
	line.gone = true
	r.loaded = without(r.loaded, i)
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
func (r *retrySet) oldest() *retry {
	for _, line := range r.loaded {
		if line.Made > 0 {
			return line
		}
	}
	return nil
}

// takeMessage hands out the line of a message if it is due; nil: it is not.
func (r *retrySet) takeMessage(message webhook.ID) *retry {
	for i, line := range r.due {
		if line.Message == message && !line.gone {
			r.due = without(r.due, i)
			return line
		}
	}
	return nil
}

// take hands out the line that has been due longest; nil: none is.
func (r *retrySet) take() *retry {
	for len(r.due) > 0 {
		line := r.due[0]
		r.due = withoutFirst(r.due)
		if !line.gone {
			return line
		}
	}
	return nil
}
