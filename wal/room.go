package wal

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hookwheel/webhook"
)

// pressure is what the leader has last seen of a store above its limit.
type pressure struct {
	mu      sync.Mutex
	share   int64                    // of an application of storage.max_size, in bytes
	holders int                      // applications that hold anything
	waited  map[webhook.ID]time.Time // since when endpoints wait for all that an application has; only those beyond their share
	shared  time.Time                // when the share was computed
	stuck   time.Time                // since when nothing can leave; zero: something can, or may
}

// Gate decides whether there is room for new commands.
type Gate struct {
	store    *memory
	space    *Space
	pressure pressure
	refused  atomic.Int64 // see Refused
}

// Gate returns what decides whether the store has room for new commands.
func (s *Store) Gate() *Gate { return s.gate }

// shareAge is how old a share may be that applications are refused by. The leader computes it more
// often, but one that has just been elected has none yet, or one from when it led before.
const shareAge = 10 * time.Second

// share computes how maxSize is shared out unless that is known.
func (g *Gate) share(maxSize int64) {
	p := &g.pressure
	p.mu.Lock()
	known := p.holders > 0 && time.Since(p.shared) < shareAge
	p.mu.Unlock()
	if !known {
		g.see(g.holders(), maxSize, false)
	}
}

// see records how maxSize is shared out, and whether nothing can leave.
func (g *Gate) see(list []holder, maxSize int64, stuck bool) {
	share := fairShare(list, g.roomFor(list, maxSize))
	p := &g.pressure
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.holders, p.shared = share, len(list), time.Now()
	switch {
	case !stuck:
		p.stuck = time.Time{}
	case p.stuck.IsZero():
		p.stuck = time.Now()
	}
}

// hold records that endpoints wait for everything an application has.
func (p *pressure) hold(app webhook.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waited == nil {
		p.waited = make(map[webhook.ID]time.Time)
	}
	if p.waited[app].IsZero() {
		p.waited[app] = time.Now()
	}
}

// release records that an application has messages that can leave.
func (p *pressure) release(app webhook.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waited, app)
}

// ease records that the store is down to its target size.
func (p *pressure) ease() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waited, p.stuck = nil, time.Time{}
}

func (p *pressure) isStuck() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.stuck.IsZero()
}

// isOversize reports whether all records take a tenth more than their limit: retention cannot
// keep up, or endpoints wait for all of it. New messages of applications that have used up their
// share are then refused.
func (g *Gate) isOversize() bool {
	return g.space.maxSize > 0 && g.space.Size() > g.space.maxSize+g.space.maxSize/10
}

// isCrowded reports whether the records take a quarter more than their limit. All applications are
// then refused.
func (g *Gate) isCrowded() bool {
	return g.space.Size() > g.space.maxSize+g.space.maxSize/4
}

// isOverused reports whether the data folder takes so much more than the limit of the records that
// it would soon be beyond the documented one, 2.5 times as much and 512 MiB. The difference is for
// data in progress.
func (g *Gate) isOverused() bool {
	return g.space.maxSize > 0 && g.space.Used() > g.space.maxSize*9/4+usedSlack
}

const usedSlack = 400 << 20

// Full returns why this node accepts no new events, or none of some applications, or "".
func (g *Gate) Full() string {
	short := g.short()
	if short != "" || !g.isOversize() {
		return short
	}
	whose := "of applications that have used up their share"
	if g.isCrowded() {
		whose = "of any application"
	}
	until := "until old messages are delivered, where endpoints wait for them, and removed, which is under way"
	if g.pressure.isStuck() {
		until = "until some of those are delivered that endpoints wait for, or endpoints are deleted, or until storage.max_size is raised"
	}
	return fmt.Sprintf("its records take %d MiB, more than its storage.max_size of %d MiB: no new events %s %s", g.space.Size()>>20, g.space.maxSize>>20, whose, until)
}

// short returns why this node accepts no new events of any application, whatever their shares, or
// "".
func (g *Gate) short() string {
	switch free, least := g.space.Free(); {
	case g.isOverused():
		return fmt.Sprintf("its data folder takes %d MiB for a storage.max_size of %d MiB: no new events until the space of removed messages is given back, which is under way",
			g.space.Used()>>20, g.space.maxSize>>20)
	case free < least && least > g.space.disk.minFree:
		return fmt.Sprintf("its disk has %d MiB free, less than the %d MiB that compacting its store may need: no new events until there is room",
			free>>20, least>>20)
	case free < least:
		return fmt.Sprintf("its disk has %d MiB free, less than its storage.min_free of %d MiB, which is kept for the delivery of what was accepted: "+
			"no new events until there is room", free>>20, least>>20)
	}
	return ""
}

// Refused returns how many commands Admit has refused for lack of space.
func (g *Gate) Refused() int64 { return g.refused.Load() }

// noRoom refuses growing commands when the store is full. app is the application that the
// command adds to, if any; full names the other nodes that are short of disk space.
func (g *Gate) noRoom(app webhook.ID, full []string) error {
	if err := g.noDisk(full); err != nil {
		return err
	}
	switch detail, making := g.noShare(app); {
	case detail == "":
		return nil
	case making:
		return &webhook.Error{Code: webhook.CodeMakingRoom, Detail: detail}
	default:
		return g.refuse(detail)
	}
}

// noDisk refuses growing commands when the disk of a node is short.
func (g *Gate) noDisk(full []string) error {
	switch short := g.short(); {
	case short != "":
		return g.refuse("the leader has no room: " + short)
	case len(full) > 0:
		return g.refuse(fmt.Sprintf("the disk of %s has less free space than it keeps for the delivery of what was accepted: "+
			"no new events until there is room", strings.Join(full, ", ")))
	}
	return nil
}

func (g *Gate) refuse(detail string) error {
	g.refused.Add(1)
	return &webhook.Error{Code: webhook.CodeNoSpace, Detail: detail}
}

// holds returns how many bytes an application holds, and whether they are its share or more.
func (g *Gate) holds(app webhook.ID) (held int64, beyond bool) {
	g.store.mu.RLock()
	held = g.store.catalog.held(app)
	g.store.mu.RUnlock()
	g.share(g.space.maxSize)
	p := &g.pressure
	p.mu.Lock()
	defer p.mu.Unlock()
	return held, p.holders > 0 && held >= p.share
}

// crampedResponse is how many bytes are kept of each response to an application without room, and
// how many of its headers.
const crampedResponse = 128

// Economize cuts the responses in what is about to be recorded for applications whose new messages
// are refused because they have used up their share. Their messages continue to be attempted, and
// whole responses would soon take the room of all others.
func (g *Gate) Economize(list []webhook.Progress) {
	if !g.isOversize() {
		return
	}
	for i := range list {
		g.store.mu.RLock()
		endpoint := g.store.catalog.endpoints[list[i].Endpoint]
		g.store.mu.RUnlock()
		if endpoint == nil {
			continue
		}
		if _, beyond := g.holds(endpoint.App); !beyond {
			continue
		}
		for j := range list[i].Outcomes {
			a := &list[i].Outcomes[j].Attempt
			a.Response = a.Response[:min(len(a.Response), crampedResponse)]
			if a.Trace != nil {
				a.Trace.CutHeaders(crampedResponse)
			}
		}
	}
}

// smallShare is how many bytes an application holds that can be told of its share.
const smallShare = 64 << 10

// stuckPatience is how long nothing must have been able to leave before new messages are refused
// at once.
const stuckPatience = 2 * time.Second

// noShare returns why an application has no room, or "". There may be some in a moment if old
// messages of the application are leaving or have just stopped leaving: those on their way to an
// endpoint may leave next.
func (g *Gate) noShare(app webhook.ID) (detail string, making bool) {
	if !g.isOversize() {
		return "", false
	}
	held, beyond := g.holds(app)
	p := &g.pressure
	p.mu.Lock()
	defer p.mu.Unlock()
	if !beyond && !g.isCrowded() {
		return "", false
	}
	since := p.stuck
	if own := p.waited[app]; beyond && !own.IsZero() {
		since = own
	}
	making = since.IsZero() || time.Since(since) < stuckPatience
	size, maxSize := g.space.Size()>>20, g.space.maxSize>>20
	switch {
	case since.IsZero() && beyond && held >= smallShare:
		detail = fmt.Sprintf("this application's share of storage.max_size (%d of %d MiB among %d applications) is used up: "+
			"no new events until old messages of it are delivered, where endpoints wait for them, and removed, which is under way; if that lasts, raise storage.max_size", p.share>>20, maxSize, p.holders)
	case since.IsZero():
		detail = fmt.Sprintf("all records take %d MiB, more than the storage.max_size of %d MiB: no new events until old messages are delivered, where endpoints wait for them, and removed, which is under way", size, maxSize)
	case beyond && held >= smallShare:
		detail = fmt.Sprintf("this application's share of storage.max_size (%d of %d MiB among %d applications) is used up by its endpoints and by messages that they wait for: "+
			"no new events, and nothing larger, until some are delivered or skipped, or endpoints are deleted, or until storage.max_size is raised", p.share>>20, maxSize, p.holders)
	default:
		detail = fmt.Sprintf("all records take %d MiB, more than the storage.max_size of %d MiB, and nothing can leave: endpoints wait for the messages, or they are not what takes the room. "+
			"No new events until some are delivered, or endpoints are deleted, or until storage.max_size is raised", size, maxSize)
	}
	return detail, making
}
