package wal

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"hookwheel/webhook"
)

func shareKey(app webhook.ID) []byte { return idKey(keyShare, app) }

func encodeShare(held int64) []byte {
	return binary.AppendUvarint([]byte{shareVersion}, uint64(held))
}

func decodeShare(value []byte) (held int64, err error) {
	r := newReader(value, shareVersion)
	held = int64(r.number(math.MaxInt64))
	return held, r.end()
}

func (n *catalog) loadShares(v view) error {
	return v.scan([]byte{keyShare}, func(key, value []byte) (err error) {
		n.shares[webhook.ID(key[1:])], err = decodeShare(value)
		return err
	})
}

// setChunk changes a chunk of a log or a history, and the count of its application. A nil value
// means that the chunk does not exist.
func (e *entry) setChunk(app webhook.ID, key, was, is []byte) {
	e.batch.setChunk(key, was, is)
	if e.shares == nil {
		e.shares = make(map[webhook.ID]int64)
	}
	if was != nil {
		e.shares[app] -= int64(len(key) + len(was))
	}
	if is != nil {
		e.shares[app] += int64(len(key) + len(is))
	}
}

// held returns what an application holds, with the changes of this entry so far.
func (e *entry) held(app webhook.ID) int64 { return e.store.catalog.held(app) + e.shares[app] }

// held returns how many bytes the log of an application, its endpoints and their histories take.
func (n *catalog) held(app webhook.ID) int64 { return n.shares[app] + n.sizes.of[app] }

// keepShares writes the counts of the applications whose chunks this entry has changed.
func (e *entry) keepShares() {
	for _, app := range slices.SortedFunc(maps.Keys(e.shares), webhook.ID.Compare) {
		held, found := e.store.catalog.shares[app]
		var was, is []byte
		if found {
			was = encodeShare(held)
		}
		held = max(held+e.shares[app], 0)
		e.store.mu.Lock()
		if held > 0 {
			is = encodeShare(held)
			e.store.catalog.shares[app] = held
		} else {
			delete(e.store.catalog.shares, app)
		}
		e.store.mu.Unlock()
		if was != nil || is != nil {
			e.batch.setChunk(shareKey(app), was, is)
		}
	}
}

// holder is an application with what it holds, in bytes.
type holder struct {
	app  webhook.ID
	held int64
}

// smallHolder is how many bytes the endpoints of an application without events may take that is no
// holder: there may be a hundred thousand.
const smallHolder = 16 << 10

// holders returns the applications that hold anything, largest first.
func (g *Gate) holders() (list []holder) {
	g.store.mu.RLock()
	n := &g.store.catalog
	list = make([]holder, 0, len(n.shares))
	for app := range n.shares {
		list = append(list, holder{app, n.held(app)})
	}
	for app, size := range n.sizes.of {
		if size > smallHolder && n.shares[app] == 0 {
			list = append(list, holder{app, size})
		}
	}
	g.store.mu.RUnlock()
	slices.SortFunc(list, func(a, b holder) int { return cmp.Or(cmp.Compare(b.held, a.held), a.app.Compare(b.app)) })
	return list
}

// roomFor returns what holders may hold together so that all records take size. Other records,
// such as retry sets and indexes, count to each holder in proportion to what it holds: if they
// were taken from all alike, many retries of one application would leave no room to the others.
func (g *Gate) roomFor(list []holder, size int64) int64 {
	all := int64(0)
	for _, h := range list {
		all += h.held
	}
	return int64(float64(all) / float64(max(g.space.Size(), 1)) * float64(size))
}

// fairShare returns the most that each holder may keep so that all together take no more than
// room. Holders of less leave the rest of their share to the others. The list is in the order of
// holders.
func fairShare(list []holder, room int64) int64 {
	for i := len(list) - 1; i >= 0; i-- {
		if each := room / int64(i+1); list[i].held > each {
			return max(each, 0)
		}
		room -= list[i].held
	}
	return math.MaxInt64
}
