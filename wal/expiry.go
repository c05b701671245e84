package wal

import (
	"encoding/binary"

	"hookwheel/webhook"
)

// Messages that may leave the log in another order than they came are listed by the time to which
// their retention is added: under X, in one of these classes.
const (
	expiryOwn     = iota // with a retention of their own, which that time includes
	expiryDelayed        // scheduled, kept for as long as all others
	expiryClasses
)

// leavesAt returns when a message with a retention of its own leaves the log, in milliseconds. The
// retention of a scheduled message begins at its due time.
func leavesAt(m *webhook.Message) int64 { return begin(m) + m.Retention.Milliseconds() }

func begin(m *webhook.Message) int64 {
	if m.DeliverAt.IsZero() {
		return m.ID.Millis()
	}
	return max(m.ID.Millis(), m.DeliverAt.UnixMilli())
}

// expiryKey returns the key of a message's line under X, or nil if it has none.
func expiryKey(m *webhook.Message) []byte {
	switch {
	case m.Retention != 0:
		return expiryLine(expiryOwn, leavesAt(m), m.App, m.ID)
	case begin(m) > m.ID.Millis():
		return expiryLine(expiryDelayed, begin(m), m.App, m.ID)
	default:
		return nil
	}
}

func expiryLine(class byte, due int64, app, message webhook.ID) []byte {
	return append(append(expiryFrom(class, due), app[:]...), message[:]...)
}

// expiryFrom returns the key from which on the lines of a class are due at that time or later.
func expiryFrom(class byte, due int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyExpiry, class}, uint64(due))
}

func parseExpiryKey(key []byte) (class byte, due int64, app, message webhook.ID) {
	return key[1], int64(binary.BigEndian.Uint64(key[2:])), webhook.ID(key[10 : 10+idSize]), webhook.ID(key[10+idSize:])
}

// keepExpiries records up to when all messages with lines under X have left.
func (r *retainer) keepExpiries() error {
	m := &r.batch.meta
	lines := newWalk(r.store.pending.durable(), []byte{keyExpiry})
	defer lines.close()
	for class, until := range [expiryClasses]int64{expiryOwn: m.clock, expiryDelayed: min(r.before, m.clock)} {
		lines.end = expiryFrom(byte(class), until)
		err := r.store.pending.seekOn(lines, []byte{keyExpiry, byte(class)}, expiryFrom(byte(class), m.expiries[class]), func(key, _ []byte) error {
			_, due, _, _ := parseExpiryKey(key)
			until = min(until, due)
			return errStop
		})
		if err != nil {
			return err
		}
		m.expiries[class] = max(m.expiries[class], until)
	}
	return nil
}
