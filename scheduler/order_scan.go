package scheduler

import (
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

// maxLate is how many lines are held at a time because an endpoint begins to keep an order.
const maxLate = 1000

// scanRest is for how long a scan rests after it has found keys, as a multiple of the time that
// took.
const scanRest = 3

// A turn of a scan ends after scanTime, and whatever that takes for another scanPart messages.
const (
	scanTime = 50 * time.Millisecond
	scanPart = 32
)

// orderScan reads what the messages of an endpoint wait for. Its run is called without the
// scheduler's lock.
type orderScan struct {
	backlog  Backlog
	endpoint *webhook.Endpoint
	now      time.Time
	lineup   int         // lines that the lineup is to have
	turns    *scanTurns  // for finding keys
	isOver   func() bool // whether nobody waits for it any more: it ends at once

	room func(taken int) int // takes room for more keys; 0: there is none
	took int                 // keys for which it has taken room
	left int                 // of these, for which there still is

	found order
	late  []webhook.Retry          // lines to be held, as others of their keys come first
	first map[uint64]webhook.Retry // of each key, the oldest message that failed
	keys  map[webhook.ID]uint64    // of the lines being looked at, see findKeys
}

func newOrderScan(l *lane, now time.Time) *orderScan {
	s := l.scheduler
	return &orderScan{backlog: s.backlog, endpoint: l.endpoint, now: now, lineup: s.linesPerLane(), turns: s.scans, isOver: l.isOver, room: l.roomForScan,
		found: newOrder(l.endpoint.Ordering, nil), keys: make(map[webhook.ID]uint64)}
}

// run ends early if it has found as many late lines as are held at a time: it runs again when they
// are.
func (s *orderScan) run() error {
	if s.endpoint.Ordering != webhook.OrderingNone {
		if err := s.scanRetries(); err != nil {
			return err
		}
	}
	if len(s.late) >= maxLate {
		return nil
	}
	if err := s.scanHeld(); err != nil {
		return err
	}
	for key, line := range s.first {
		s.found.block(key, line.Message)
	}
	for _, key := range slices.Sorted(maps.Keys(s.found.keys)) {
		s.found.release(key, s.found.keys[key])
	}
	return nil
}

// wasTried reports whether a line of a retry set is of a message that was under way before.
func wasTried(line *webhook.Retry) bool { return line.Made > 0 || line.Key != 0 }

// scanRetries reads the retry set. A line without attempts is of a message that was not to be sent
// before, unless it has a key: then it was put there while it was in flight. If it was due, it may
// have been in flight too, so it keeps its place in the order.
func (s *orderScan) scanRetries() error {
	scheduled := newOrder(s.endpoint.Ordering, nil) // none of these was under way if another line was tried
	for from, more := (webhook.Retry{}), true; more && len(s.late) < maxLate && !s.isOver(); {
		list, err := s.backlog.Retries(s.endpoint.ID, from, maxLoaded+1)
		if err != nil {
			return err
		}
		if more = len(list) > maxLoaded; more {
			from, list = list[maxLoaded], list[:maxLoaded]
		}
		if err := s.findKeys(list); err != nil {
			return err
		}
		for _, line := range list {
			switch tried := wasTried(&line); {
			case !tried && line.Due.After(s.now): // blocks nothing yet
			case s.endpoint.Ordering == webhook.OrderingEndpoint && !tried:
				scheduled.queue(line, s.lineup)
			case s.endpoint.Ordering == webhook.OrderingEndpoint:
				s.found.queue(line, s.lineup)
			default:
				s.scanLine(line)
			}
		}
	}
	if len(s.found.lineup) == 0 {
		s.found.lineup, s.found.more = scheduled.lineup, scheduled.more
	}
	return nil
}

// findKeys reads the keys of lines that have none in the store, if the endpoint keeps an order per
// key: those from when it kept no order. That reads all their messages, so scans take turns and
// rest: customers could have many of them by changing the ordering of their endpoints.
func (s *orderScan) findKeys(list []webhook.Retry) error {
	clear(s.keys)
	if s.endpoint.Ordering != webhook.OrderingKey {
		return nil
	}
	var without []webhook.ID
	for _, line := range list {
		if line.Key == 0 && (wasTried(&line) || !line.Due.After(s.now)) {
			without = append(without, line.Message)
		}
	}
	slices.SortFunc(without, webhook.ID.Compare) // so that a chunk of the log is read once or twice
	for len(without) > 0 && !s.isOver() {
		var err error
		if without, err = s.takeTurn(without); err != nil {
			return err
		}
	}
	return nil
}

// takeTurn reads the keys of some messages, and returns the others. A message may be large, so a
// turn is limited by time: others wait for it, and for the rest after it, and so does the end of
// the scheduler.
func (s *orderScan) takeTurn(messages []webhook.ID) (others []webhook.ID, err error) {
	s.turns.await(s.endpoint.App)
	defer s.turns.end()
	begun := time.Now()
	defer func() { time.Sleep(scanRest * time.Since(begun)) }()
	for len(messages) > 0 && time.Since(begun) < scanTime && !s.isOver() {
		part := messages[:min(scanPart, len(messages))]
		keys, err := s.backlog.OrderingKeys(s.endpoint.App, part)
		if err != nil {
			return nil, err
		}
		for i, message := range part {
			s.keys[message] = keys[i]
		}
		messages = messages[len(part):]
	}
	return messages, nil
}

// scanLine notes the key that a line blocks.
func (s *orderScan) scanLine(line webhook.Retry) {
	if line.Key == 0 {
		scheduled := !wasTried(&line)
		if line.Key = s.keys[line.Message]; line.Key == 0 {
			return
		}
		if scheduled {
			s.putOff(line, maxLate)
			return
		}
	}
	older, known := s.first[line.Key]
	if known && older.Message.After(line.Message) {
		older, line = line, older
	}
	if !known {
		if !s.hasRoom(line.Key) {
			s.putOff(line, maxLate)
			return
		}
		if s.first == nil {
			s.first = make(map[uint64]webhook.Retry)
		}
		s.first[line.Key] = line
		return
	}
	s.first[line.Key] = older
	s.putOff(line, maxLate)
}

// hasRoom reports whether a key may be in memory. After it has refused one it refuses all that are
// not there, so that of each key either all held messages are counted or none.
func (s *orderScan) hasRoom(key uint64) bool {
	if _, failed := s.first[key]; failed || s.found.keys[key] != nil {
		return true
	}
	if s.left == 0 && !s.found.overflow {
		s.left = s.room(s.took)
		s.took += s.left
		s.found.overflow = s.left == 0
	}
	if s.found.overflow {
		return false
	}
	s.left--
	return true
}

// putOff notes that a line is to be held, unless there are limit others. It is found again then.
func (s *orderScan) putOff(line webhook.Retry, limit int) {
	if len(s.late) < limit {
		s.late = append(s.late, line)
	}
}

// scanHeld counts what is held. A line that failed is late if an older message of its key is held.
func (s *orderScan) scanHeld() error {
	for after := (webhook.Held{}); !s.isOver(); {
		list, err := s.backlog.Held(s.endpoint.ID, after, maxLoaded)
		if err != nil {
			return err
		}
		for _, line := range list {
			if s.hasRoom(line.Key) {
				s.found.key(line.Key).held++
			}
			if waitsForLog && s.endpoint.Ordering == webhook.OrderingKey && line.Message.After(s.found.gate) {
				s.found.gate = line.Message
			}
			if failed, known := s.first[line.Key]; known && failed.Message.After(line.Message) && len(s.late) < 2*maxLate {
				delete(s.first, line.Key)
				s.late = append(s.late, failed)
			}
		}
		if len(list) < maxLoaded {
			return nil
		}
		after = list[len(list)-1]
	}
	return nil
}
