package httpapi

import (
	"sync"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	maxFeedBytes  = 16 << 20               // of recent events in memory, for all streams together
	feedBatch     = 256                    // events that are added at a time
	wakePerStream = 100 * time.Microsecond // between two wake-ups, lest waking many streams takes a processor
)

// feed keeps the recent events for all streams of a node. A stream costs the state machine nothing,
// however slowly its client reads: it reads from here at its own pace and falls back on the store
// when what it wants has left.
type feed struct {
	live  *wal.Tail
	lag   func() uint64
	limit int           // of bytes
	done  chan struct{} // closed when collect has ended

	mu      sync.Mutex
	users   int
	recent  []*feedItem
	first   uint64 // number of recent[0]; items are numbered from 0
	bytes   int
	at      webhook.ID    // the last event
	news    chan struct{} // closed when there is something new
	seconds chan struct{} // closed when a second is over
	counted second        // the present one
	last    second        // the one before
}

// feeds holds the feed that streams share while there are any.
type feeds struct {
	store *wal.Store
	lag   func() uint64 // see second
	mu    sync.Mutex
	open  *feed // nil: nobody follows
}

// join returns the feed. The caller must call leave.
func (f *feeds) join() *feed {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil || f.open.hasEnded() {
		live := f.store.OpenTail()
		f.open = &feed{live: live, lag: f.lag, limit: maxFeedBytes, done: make(chan struct{}), at: live.After, news: make(chan struct{}), seconds: make(chan struct{})}
		go f.open.collect()
	}
	f.open.mu.Lock()
	defer f.open.mu.Unlock()
	f.open.users++
	return f.open
}

// leave ends the feed if the caller was the last one.
func (f *feeds) leave(feed *feed) {
	f.mu.Lock()
	feed.mu.Lock()
	feed.users--
	over := feed.users == 0
	feed.mu.Unlock()
	if over && f.open == feed {
		f.open = nil
	}
	f.mu.Unlock()
	if over {
		feed.live.Close()
		<-feed.done
	}
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
			if wake == nil {
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
// are woken.
func (f *feed) add(event *wal.Event) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range feedBatch {
		item := &feedItem{event: *event}
		f.recent = append(f.recent, item)
		f.bytes += item.size()
		f.at = event.ID
		f.counted.count(event)
		select {
		case next, open := <-f.live.Events:
			if !open {
				return 0
			}
			event = &next
			continue
		default:
		}
		break
	}
	gone := 0
	for ; f.bytes > f.limit; gone++ {
		f.bytes -= f.recent[gone].size()
		f.recent[gone] = nil
	}
	f.recent, f.first = f.recent[gone:], f.first+uint64(gone)
	return time.Duration(f.users) * wakePerStream
}

func (f *feed) notify() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.news)
	f.news = make(chan struct{})
}

func (f *feed) nextSecond(now time.Time) {
	lag := f.lag()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counted.end, f.counted.lag = now, lag
	f.last, f.counted = f.counted, second{}
	close(f.seconds)
	f.seconds = make(chan struct{})
}

// position returns the last event, and the number of the next one.
func (f *feed) position() (at webhook.ID, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at, f.first + uint64(len(f.recent))
}

// read fills into with the events from a number on. The channel is closed when there are more than
// these. It returns false if the first of them has left.
func (f *feed) read(from uint64, into []*feedItem) (count int, more <-chan struct{}, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if from < f.first {
		return 0, nil, false
	}
	return copy(into, f.recent[from-f.first:]), f.news, true
}

// endOfSecond returns a channel that is closed at the end of the present second.
func (f *feed) endOfSecond() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seconds
}

// lastSecond counts the attempts of an application, or of all if it is zero, in the last second.
func (f *feed) lastSecond(app webhook.ID) (end time.Time, lag uint64, counts attemptCounts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if app.IsZero() {
		counts = f.last.all
	} else if own := f.last.apps[app]; own != nil {
		counts = *own
	}
	return f.last.end, f.last.lag, counts
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
