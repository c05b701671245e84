package wal

import (
	"bytes"
	"context"
	"math/rand/v2"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Shrinker removes messages before their retention ends, for the leader, while the store is above
// its limit. It removes only messages that no endpoint waits for, the oldest of each application
// first.
//
// storage.max_size is shared out. Applications beyond their fair share are cut down to it, largest
// first. Where that is not enough, because endpoints wait for their messages, the others share
// what is left, but only when the store has grown further. So the space freed there does not go to
// applications beyond their share, whose new messages are refused by then.
type Shrinker struct {
	store   *Store
	writer  *Writer
	maxSize int64                    // storage.max_size, which applications share
	size    int64                    // what the records are to take
	tight   int64                    // likewise, where that costs messages within the share of an application
	places  map[webhook.ID]*logPlace // by application
	asked   []part                   // that were asked to leave last
	seen    int                      // for tests: versions of records passed in logs, deleted ones too
}

// logPlace is how far a Shrinker has come in a log. It goes on there the next time, because what
// stays may be long, and so may be what Badger still holds of messages that are gone. At the end of
// the log it starts over: what had to stay may be delivered by now.
type logPlace struct {
	behind webhook.ID // all up to there is gone or was looked at, and can't leave
	whole  bool       // this turn began at the front of the log
	ended  bool       // nothing in the log can leave
}

// NewShrinker returns a Shrinker for a store whose records may take that many bytes.
func NewShrinker(s *Store, w *Writer, maxSize int64) *Shrinker {
	return &Shrinker{store: s, writer: w, maxSize: maxSize, size: shrunk(maxSize), tight: maxSize + maxSize/20*3, places: make(map[webhook.ID]*logPlace)}
}

// shrunk returns the target size of records that have exceeded maxSize.
func shrunk(maxSize int64) int64 { return maxSize - maxSize/10 }

// shrinkLooks is how many times one step looks for messages that can leave.
const shrinkLooks = 16

// Step does a bounded part of the work; more reports whether some is left. Once nothing is left,
// the next call begins another turn.
func (k *Shrinker) Step(ctx context.Context) (more bool, err error) {
	defer func() {
		if !more {
			k.endTurn()
		}
	}()
	if k.store.space.Size() <= k.size {
		k.store.gate.pressure.ease()
		return false, nil
	}
	command, more, err := k.choose(ctx)
	if err != nil || !more {
		return false, err
	}
	if len(command.Parts) == 0 { // there is more to look at
		return true, nil
	}
	k.asked = command.Parts
	return true, k.writer.client.proposeEnd(ctx, kindRetain, command)
}

// endTurn has logs in which nothing can leave looked at from the front again, and the others from
// where this turn ends.
func (k *Shrinker) endTurn() {
	k.store.mu.RLock()
	defer k.store.mu.RUnlock()
	for app, p := range k.places {
		if p.ended || k.store.catalog.applications[app] == nil {
			delete(k.places, app)
		}
		p.whole = false
	}
}

// place returns how far the shrinker has come in the log of an application.
func (k *Shrinker) place(app webhook.ID) *logPlace {
	p := k.places[app]
	if p == nil {
		p = &logPlace{whole: true}
		k.places[app] = p
	}
	return p
}

// pass moves on over the parts that have left since they were asked to.
func (k *Shrinker) pass(v dbView) error {
	stays := make(map[webhook.ID]bool)
	for _, asked := range k.asked {
		if stays[asked.App] {
			continue
		}
		_, found, err := v.get(chunkKey(keyLog, asked.App, asked.Entry))
		if err != nil {
			return err
		}
		stays[asked.App] = found
		if p := k.place(asked.App); !found {
			p.behind = latest(p.behind, asked.Entry)
		}
	}
	k.asked = nil
	return nil
}

// choose finds parts of logs that can leave. With more it may find some later although it has
// found none yet.
func (k *Shrinker) choose(ctx context.Context) (command retain, more bool, err error) {
	list := k.store.gate.holders()
	looks := shrinkLooks
	command = retain{Size: k.size, Share: fairShare(list, k.store.gate.roomFor(list, k.size)), Records: retainRecords}
	command.Parts, err = k.beyond(ctx, list, command.Share, &looks)
	if err != nil || len(command.Parts) > 0 || looks == 0 {
		k.store.gate.see(list, k.maxSize, false)
		return command, true, err
	}
	for command.Size = k.tight; k.store.space.Size() > k.tight; {
		rest, room := k.rest(list, k.store.gate.roomFor(list, k.tight))
		command.Share = fairShare(rest, room)
		if len(rest) == 0 || rest[0].held <= command.Share {
			break
		}
		command.Parts, err = k.beyond(ctx, rest, command.Share, &looks)
		if err != nil || len(command.Parts) > 0 || looks == 0 {
			k.store.gate.see(list, k.maxSize, false)
			return command, true, err
		}
	}
	k.store.gate.see(list, k.maxSize, true)
	return command, false, nil
}

// rest returns the holders that may have something that can leave, and the room that the others
// leave them.
func (k *Shrinker) rest(list []holder, room int64) (rest []holder, left int64) {
	for _, h := range list {
		if k.place(h.app).ended {
			room -= h.held
		} else {
			rest = append(rest, h)
		}
	}
	return rest, room
}

// beyond finds the oldest parts of the logs of applications that hold more than share, until they
// take what is beyond it. It ends without any when it has looked at all, or so many times.
func (k *Shrinker) beyond(ctx context.Context, list []holder, share int64, looks *int) (parts []part, err error) {
	for ; *looks > 0; *looks-- {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := k.passed(list, share)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		excess := make(map[webhook.ID]int64, len(list))
		for _, h := range list {
			excess[h.app] = h.held - share
		}
		settled := make(map[webhook.ID]bool) // has a part that can leave
		for _, p := range found {
			if excess[p.App] <= 0 {
				continue
			}
			wanted, size, err := k.wants(p)
			switch {
			case err != nil:
				return nil, err
			case !wanted:
				settled[p.App] = true
				k.store.gate.pressure.release(p.App)
				parts = append(parts, p)
				excess[p.App] -= size
			case !settled[p.App]:
				k.place(p.App).behind = p.Entry
			}
		}
		if len(parts) > 0 {
			return parts, nil
		}
	}
	return nil, nil
}

// passed finds the oldest parts of logs to which all cursors have come, of applications that hold
// more than share, which are the first of the list: retainParts of them at most.
func (k *Shrinker) passed(list []holder, share int64) (parts []part, err error) {
	err = k.store.read(func(v dbView) error {
		if err := k.pass(v); err != nil {
			return err
		}
		log := newWalk(v.txn, []byte{keyLog})
		defer func() { k.seen += log.seen; log.close() }()
		for _, h := range list {
			if h.held <= share || len(parts) >= retainParts {
				return nil
			}
			before := len(parts)
			for p := k.place(h.app); !p.ended && len(parts) == before; {
				if parts, err = k.passedIn(log, h.app, p.behind, parts); err != nil {
					return err
				}
				switch {
				case len(parts) > before:
				case p.whole:
					p.ended = true
					k.store.gate.pressure.hold(h.app)
				default: // what the turns before have left may leave by now
					*p = logPlace{whole: true}
				}
			}
		}
		return nil
	})
	return parts, err
}

// passedIn adds parts of one log that come after a place.
func (k *Shrinker) passedIn(log *walk, app, behind webhook.ID, parts []part) ([]part, error) {
	last := k.store.lowestCursor(app)
	err := log.items(idKey(keyLog, app), chunkKey(keyLog, app, latest(behind, k.store.front(app).first)), func(item *badger.Item) error {
		entry := entryOf(item.Key())
		if entry.After(last) || len(parts) >= retainParts {
			return errStop
		}
		if entry.After(behind) {
			parts = append(parts, part{app, entry})
		}
		return nil
	})
	return parts, unlessStopped(err)
}

// newest is behind every entry.
var newest = webhook.ID(bytes.Repeat([]byte{0xff}, idSize))

// lowestCursor returns the position that all endpoints of an application have reached. An
// application that is being deleted has none, because sweep removes it.
func (m *memory) lowestCursor(app webhook.ID) (place webhook.ID) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.catalog.applications[app] == nil {
		return webhook.ID{}
	}
	place = newest
	for _, endpoint := range m.catalog.byApp[app] {
		if c := m.catalog.cursors[endpoint.ID]; place.After(c.position) {
			place = c.position
		}
	}
	return place
}

// wants reports whether endpoints wait for all messages in a part of a log that one look gets to,
// as the state machine will see it, and returns the size of the part.
func (k *Shrinker) wants(p part) (wanted bool, size int64, err error) {
	s := k.store
	s.pending.Lock()
	defer s.pending.Unlock()
	if s.pending.broken != nil {
		return true, 0, s.pending.broken
	}
	wanted = true
	r := retainer{entry: &entry{store: s, batch: &s.pending.staged}, budget: retainRecords, bytes: retainBytes}
	err = s.guard(s.db, func() error {
		key := chunkKey(keyLog, p.App, p.Entry)
		data, found, err := s.pending.get(key)
		if err != nil || !found {
			return err
		}
		size = int64(len(data))
		list, err := decodeMessages(key, data, p.App)
		first := rand.IntN(len(list) + 1) // so that the next look gets to others
		for i := 0; i < len(list) && wanted && !r.isSpent() && err == nil; i++ {
			wanted, err = r.wanted(&list[(first+i)%len(list)])
		}
		return err
	})
	return wanted, size, err
}
