package httpapi

import (
	"iter"
	"sync"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	maxFeedBytes  = 16 << 20               // of recent events in memory, for all streams together
	feedBatch     = 256                    // events that are added at a time
	wakeEvery     = 10 * time.Millisecond  // between two wake-ups, lest their number depends on that of events
	wakePerStream = 100 * time.Microsecond // more for each stream, lest waking many takes a processor
)

// feed keeps the recent events for all streams of a node. A stream costs the state machine nothing,
// however slowly its client reads: it reads from here at its own pace and falls back on the store
// when what it wants has left. Events that no stream is about are not kept.
type feed struct {
	live  *wal.Tail
	lag   func() uint64 // see nextSecond
	limit int           // of bytes
	done  chan struct{} // closed when collect has ended

	mu      sync.Mutex
	users   int
	views   map[webhook.ID]*feedView // by application; zero: all events
	recent  []*feedItem              // those of all views
	bytes   int
	at      webhook.ID    // the last event
	seconds chan struct{} // closed when a second is over
	ended   time.Time     // end of the last second
	behind  uint64        // what lag was then
}

func newFeed(live *wal.Tail, lag func() uint64) *feed {
	return &feed{live: live, lag: lag, limit: maxFeedBytes, done: make(chan struct{}), views: make(map[webhook.ID]*feedView),
		at: live.After, seconds: make(chan struct{})}
}

// feedView has the events of one application, or all, for the streams that are about them. What
// happens elsewhere does not wake these.
type feedView struct {
	feed *feed
	app  webhook.ID // zero: all

	// Under the lock of the feed:
	users   int
	recent  []*feedItem
	first   uint64        // number of recent[0]; items are numbered from 0
	news    chan struct{} // closed when there is something new
	isNew   bool          // something that the streams were not woken for
	counted attemptCounts // in the present second
	last    attemptCounts // in the one before
}

// feeds holds the feed that streams share while there are any.
type feeds struct {
	store *wal.Store
	lag   func() uint64 // committed entries that the node has not applied
	mu    sync.Mutex
	open  *feed // nil: nobody follows
}

// join returns a view of the feed. The caller must call leave.
func (f *feeds) join(app webhook.ID) *feedView {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil || f.open.hasEnded() {
		f.open = newFeed(f.store.OpenTail(), f.lag)
		go f.open.collect()
	}
	return f.open.join(app)
}

func (f *feed) join(app webhook.ID) *feedView {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.views[app]
	if v == nil {
		v = &feedView{feed: f, app: app, news: make(chan struct{})}
		f.views[app] = v
	}
	v.users++
	f.users++
	return v
}

// leave ends the view and the feed if the caller was the last one.
func (f *feeds) leave(v *feedView) {
	f.mu.Lock()
	over := v.leave()
	if over && f.open == v.feed {
		f.open = nil
	}
	f.mu.Unlock()
	if over {
		v.feed.live.Close()
		<-v.feed.done
	}
}

func (v *feedView) leave() (feedIsOver bool) {
	v.feed.mu.Lock()
	defer v.feed.mu.Unlock()
	if v.users--; v.users == 0 {
		delete(v.feed.views, v.app)
	}
	v.feed.users--
	return v.feed.users == 0
}

// hasEnded reports whether the state of the node was replaced, so that nothing more will come.
func (f *feed) hasEnded() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// collect adds events until the tail ends.
func (f *feed) collect() {
	defer close(f.done)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var wake <-chan time.Time
	for {
		select {
		case event, open := <-f.live.Events:
			if !open {
				return
			}
			pause := f.add(&event)
			if wake == nil && pause > 0 {
				wake = time.After(pause)
			}
		case <-wake:
			wake = nil
			f.notify()
		case now := <-ticker.C:
			f.nextSecond(now)
		}
	}
}

// add adds an event and those that wait behind it. It returns how long to wait before the streams
// are woken; 0 if no stream is about these events.
func (f *feed) add(event *wal.Event) (pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range feedBatch {
		if f.addToViews(event) {
			pause = wakeEvery + time.Duration(f.users)*wakePerStream
		}
		f.at = event.ID
		select {
		case next, open := <-f.live.Events:
			if !open {
				return pause
			}
			event = &next
			continue
		default:
		}
		break
	}
	f.evict()
	return pause
}

// addToViews reports whether a stream is about the event.
func (f *feed) addToViews(event *wal.Event) bool {
	var item *feedItem
	for v := range f.viewsOf(event.App) {
		if item == nil {
			item = &feedItem{event: *event}
			f.recent = append(f.recent, item)
			f.bytes += item.size()
		}
		v.recent, v.isNew = append(v.recent, item), true
		if event.Attempt != nil {
			v.counted.count(event.Attempt)
		}
	}
	return item != nil
}

// viewsOf returns the views that have the events of an application.
func (f *feed) viewsOf(app webhook.ID) iter.Seq[*feedView] {
	return func(yield func(*feedView) bool) {
		if all := f.views[webhook.ID{}]; all != nil && !yield(all) {
			return
		}
		if own := f.views[app]; own != nil && !app.IsZero() {
			yield(own)
		}
	}
}

// evict removes the oldest events until the limit is kept.
func (f *feed) evict() {
	gone := 0
	for ; f.bytes > f.limit; gone++ {
		item := f.recent[gone]
		f.bytes -= item.size()
		f.recent[gone] = nil
		for v := range f.viewsOf(item.event.App) {
			if len(v.recent) > 0 && v.recent[0] == item { // else the view is newer
				v.recent[0] = nil
				v.recent, v.first = v.recent[1:], v.first+1
			}
		}
	}
	f.recent = f.recent[gone:]
}

func (f *feed) notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.views {
		if v.isNew {
			close(v.news)
			v.news, v.isNew = make(chan struct{}), false
		}
	}
}

func (f *feed) nextSecond(now time.Time) {
	behind := f.lag()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended, f.behind = now, behind
	for _, v := range f.views {
		v.last, v.counted = v.counted, attemptCounts{}
	}
	close(f.seconds)
	f.seconds = make(chan struct{})
}

// position returns the last event, of the view or not, and the number of the view's next one.
func (v *feedView) position() (at webhook.ID, next uint64) {
	v.feed.mu.Lock()
	defer v.feed.mu.Unlock()
	return v.feed.at, v.first + uint64(len(v.recent))
}

// feedPart is what a stream reads at a time.
type feedPart struct {
	count int             // of events
	more  <-chan struct{} // closed when there are more
	at    webhook.ID      // without events: the last event of others, which happened before any that follows
}

// read fills into with the events from a number on. It returns false if the first of them has left.
func (v *feedView) read(from uint64, into []*feedItem) (part feedPart, known bool) {
	v.feed.mu.Lock()
	defer v.feed.mu.Unlock()
	if from < v.first {
		return part, false
	}
	return feedPart{count: copy(into, v.recent[from-v.first:]), more: v.news, at: v.feed.at}, true
}

// endOfSecond returns a channel that is closed at the end of the present second.
func (f *feed) endOfSecond() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seconds
}

// lastSecond counts the attempts of the last second. lag is how many committed entries the node had
// not applied at its end.
func (v *feedView) lastSecond() (end time.Time, lag uint64, counts attemptCounts) {
	v.feed.mu.Lock()
	defer v.feed.mu.Unlock()
	return v.feed.ended, v.feed.behind, v.last
}

// feedItem is an event, with what streams need of it: found out once, for all of them.
type feedItem struct {
	event wal.Event

	encoding sync.Once
	text     []byte // as it is sent
	failed   error

	typing    sync.Once
	eventType string // of the message; "": it is gone
	unknown   error
}

// itemCost is about what an item takes without its URL and its error, encoded as well as not.
const itemCost = 2560

func (i *feedItem) size() int {
	if c := i.event.Change; c != nil {
		return itemCost + 7*(len(c.By.Name)+len(c.By.Session)+len(c.EventType)+len(c.Member))
	}
	return itemCost + 7*(len(i.event.Attempt.URL)+len(i.event.Attempt.Response)) // a byte of them may become six as JSON
}

// encoded returns the event as it is sent to operators.
func (i *feedItem) encoded() ([]byte, error) {
	i.encoding.Do(func() {
		if c := i.event.Change; c != nil {
			i.text, i.failed = encodeEvent("change", i.event.ID, showChange(c))
			return
		}
		i.text, i.failed = i.encodeAttempt(false)
	})
	return i.text, i.failed
}

func (i *feedItem) encodeAttempt(toCustomer bool) ([]byte, error) {
	return encodeEvent("attempt", i.event.ID,
		tailAttemptOut{attemptOut: showAttempt(i.event.Attempt, false, toCustomer), AppID: i.event.App.Text(webhook.KindApplication)})
}

// forCustomers returns the event as it is sent to customers: without who made a change, and without
// private addresses. Both are rare, so these are encoded for each stream.
func (i *feedItem) forCustomers() ([]byte, error) {
	if i.event.Change == nil {
		if t := i.event.Attempt.Trace; t == nil || !t.Internal {
			return i.encoded()
		}
		return i.encodeAttempt(true)
	}
	out := showChange(i.event.Change)
	out.Actor = nil
	return encodeEvent("change", i.event.ID, out)
}

// messageType returns the event type of the message of an attempt, or "" if the message is gone.
func (i *feedItem) messageType(store *wal.Store) (string, error) {
	i.typing.Do(func() {
		m, err := store.Deliveries().MessageByID(i.event.App, i.event.Attempt.Message)
		switch {
		case err == nil:
			i.eventType = m.EventType
		case webhook.ErrorCode(err) != webhook.CodeNotFound:
			i.unknown = err
		}
	})
	return i.eventType, i.unknown
}
