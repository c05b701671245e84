package cluster

import (
	"cmp"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// purgeInterval bounds how long the Raft log keeps an entry, and its files the bytes of one: three
// times that at most, however little is written, while the node runs.
const purgeInterval = 8 * time.Hour

// purgeRest is the part of purgeInterval that passes between a start and the first purge: a node
// that has just started has other things to do, and those that lag ask for old entries.
const purgeRest = 96

// purger removes old entries from the log of this node, up to those of the purge before. The files
// of the log are given back only as a whole, and Raft keeps the last entry: so each purge also has
// the log go on in another file, and the leader adds an entry without commands.
type purger struct {
	node     *Node
	interval time.Duration
	old      uint64    // the last entry in the files that the purge before has ended
	last     time.Time // when that was; zero: it is not known
}

func newPurger(n *Node) *purger {
	p := &purger{node: n, interval: cmp.Or(n.config.PurgeInterval, purgeInterval)}
	p.old, p.last = n.log.Renewed()
	return p
}

// first returns how long after a start the first purge comes: when it would have come without the
// start. If the clock says that the last one is yet to come, one of the two was wrong, and nobody
// knows when it was.
func (p *purger) first(now time.Time) time.Duration {
	rest := p.interval / purgeRest
	if age := now.Sub(p.last); age >= 0 {
		return max(rest, p.interval-age)
	}
	return rest
}

// run purges the log until the node closes.
func (p *purger) run() {
	n := p.node
	pause := time.NewTimer(p.first(time.Now()))
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-n.ctx.Done():
			return
		}
		next := p.interval
		if err := p.purge(); err != nil && n.ctx.Err() == nil {
			n.warnings.log("could not remove old entries from the log; will try again", "error", err)
			next /= 60
		}
		pause.Reset(next)
	}
}

// purge cuts the entries that the purge before found, and has those that came since be cut by the
// next one. Entries that the state machine may lack after a crash stay.
func (p *purger) purge() error {
	n := p.node
	n.log.Expire(min(p.old, n.config.Machine.State().Index))
	if err := n.await(n.raft.Snapshot()); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return err
	}
	last, err := n.log.Renew()
	if err != nil {
		return err
	}
	if last > 0 {
		p.old = last
		if err := n.log.NoteRenewal(); err != nil {
			n.warnings.log("could not note when old entries were removed; after a restart that is done sooner", "error", err)
		}
	}
	if n.raft.State() == raft.Leader {
		n.appendNothing()
	}
	return nil
}

// appendNothing appends an entry without commands. If it fails, it is up to the next purge, or to
// that of another leader.
func (n *Node) appendNothing() {
	n.clock.await(n.ctx)
	_ = n.await(n.raft.Apply(encodeEntry(n.Now().UnixMilli(), nil), time.Second))
}
