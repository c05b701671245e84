package wal

import (
	"bytes"
	"encoding/binary"

	"hookwheel/webhook"
)

// removal is a deleted endpoint of which something is left.
type removal struct {
	endpoint webhook.ID
	after    []byte     // key of the last line that was removed from its sets; all before it are gone
	tallies  *gathering // what is to be done with its tallies; nil: nothing
}

// gathering says how many of the tallies of a deleted endpoint are yet to be added to those of all
// deleted endpoints of its application. Without that, a customer who creates and deletes endpoints
// again and again would leave more tallies than the limit of endpoints allows.
type gathering struct {
	app    webhook.ID
	period Period
	start  uint64 // the next one to look at
}

// removedApp is a deleted application of which something is left.
type removedApp struct {
	id    webhook.ID
	after []byte // key of the last endpoint that was removed, or of the part of the log that is being removed; all before it are gone
	line  []byte // key of the last line that was removed from the index of attempts for that part; likewise
}

// droppedMessage is a message that has left the log before all of its attempts.
type droppedMessage struct {
	id, app webhook.ID
	after   webhook.ID // the last attempt that was removed; all before it are gone
}

const removalVersion = 1

// encode: after | app 20 | period 1 | start; the last three only with tallies to gather.
func (g *removal) encode() []byte {
	dst := appendBytes([]byte{removalVersion}, g.after)
	if t := g.tallies; t != nil {
		dst = append(append(dst, t.app[:]...), byte(t.period))
		dst = binary.AppendUvarint(dst, t.start)
	}
	return dst
}

func decodeRemoval(endpoint webhook.ID, value []byte) (removal, error) {
	r := newReader(value, removalVersion)
	g := removal{endpoint: endpoint, after: bytes.Clone(r.bytes())}
	if r.more() {
		g.tallies = &gathering{app: r.id(), period: Period(r.byte())}
		g.tallies.start = r.number(endOfTime / uint64(periods[FiveMinutes].length))
		if r.err == nil && int(g.tallies.period) >= len(periods) {
			r.fail()
		}
	}
	return g, r.end()
}

// encode: after | line
func (g *removedApp) encode() []byte {
	return appendBytes(appendBytes([]byte{removalVersion}, g.after), g.line)
}

func decodeRemovedApp(id webhook.ID, value []byte) (removedApp, error) {
	r := newReader(value, removalVersion)
	g := removedApp{id: id, after: bytes.Clone(r.bytes()), line: bytes.Clone(r.bytes())}
	return g, r.end()
}

func droppedKey(message webhook.ID) []byte { return idKey(keyDropped, message) }

// encode: app 20 | after 20
func (m *droppedMessage) encode() []byte {
	return append(append([]byte{removalVersion}, m.app[:]...), m.after[:]...)
}

func decodeDropped(id webhook.ID, value []byte) (droppedMessage, error) {
	r := newReader(value, removalVersion)
	m := droppedMessage{id: id, app: r.id(), after: r.id()}
	return m, r.end()
}

// loadRemoved reads what is being removed.
func (n *catalog) loadRemoved(v view) error {
	err := v.scan([]byte{keyRemoved}, func(key, value []byte) error {
		gone, err := decodeRemoval(webhook.ID(key[1:]), value)
		n.removed = append(n.removed, gone)
		return err
	})
	if err != nil {
		return err
	}
	err = v.scan([]byte{keyRemovedApp}, func(key, value []byte) error {
		gone, err := decodeRemovedApp(webhook.ID(key[1:]), value)
		n.removedApps = append(n.removedApps, gone)
		return err
	})
	if err != nil {
		return err
	}
	return v.scan([]byte{keyDropped}, func(key, value []byte) error {
		m, err := decodeDropped(webhook.ID(key[1:]), value)
		n.dropped = append(n.dropped, m)
		return err
	})
}
