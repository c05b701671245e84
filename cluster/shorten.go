package cluster

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

const (
	cutInterval = 2 * time.Second // between checks of the size of the log
	cutPause    = 200 * time.Millisecond
)

// shorten asks Raft to cut the log whenever it has grown beyond its limit, until the node closes.
// When nothing is written, it lets the log mark its end.
func (n *Node) shorten() {
	tick := time.NewTicker(cutInterval)
	defer tick.Stop()
	for {
		select {
		case <-n.log.Grown():
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		n.log.SetAlone(len(n.servers()) == 1)
		if n.log.Bytes() > n.log.Limit() {
			if err := n.await(n.raft.Snapshot()); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && n.ctx.Err() == nil {
				n.warnings.log("could not shorten the log; will try again", "error", err)
			}
		}
		if err := n.log.Settle(); err != nil {
			return // the log has ended the node
		}
		select {
		case <-time.After(cutPause):
		case <-n.ctx.Done():
			return
		}
	}
}
