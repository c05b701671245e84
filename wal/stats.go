package wal

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Attempts are counted per endpoint and hour of the log's clock. The counts of the present hour are
// in the cursor, those of earlier hours are under N, for maxCountedHours.
const maxCountedHours = 90 * 24

const hour = int64(time.Hour / time.Millisecond)

func countsKey(endpoint webhook.ID, hour uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(keyCounts, endpoint), hour)
}

// encodeHour: attempts that succeeded | failed | were canceled
func (n *counts) encodeHour() []byte {
	value := binary.AppendUvarint([]byte{countsVersion}, n.succeeded)
	value = binary.AppendUvarint(value, n.failed)
	return binary.AppendUvarint(value, n.canceled)
}

func (n *counts) decodeHour(value []byte) error {
	r := newReader(value, countsVersion)
	n.succeeded, n.failed, n.canceled = r.uvarint(), r.uvarint(), r.uvarint()
	return r.end()
}

// count counts an attempt. The first attempt of an hour moves the counts of the hour before to a
// record of their own, and removes some that are too old.
func (e *entry) count(endpoint webhook.ID, n *counts, status webhook.Status) error {
	if now := uint64(e.batch.meta.clock / hour); n.hour != now {
		if n.hour != 0 {
			e.batch.set(countsKey(endpoint, n.hour), n.encodeHour())
		}
		n.hour, n.succeeded, n.failed, n.canceled = now, 0, 0, 0
		if err := e.forgetCounts(endpoint, now); err != nil {
			return err
		}
	}
	switch status {
	case webhook.StatusSuccess:
		n.succeeded++
	case webhook.StatusCanceled:
		n.canceled++
	default:
		n.failed++
	}
	return nil
}

// forgetCounts removes up to two of an endpoint's oldest hours. At most one is added per hour, so
// they do not pile up.
func (e *entry) forgetCounts(endpoint webhook.ID, now uint64) error {
	keys, err := e.firstKeys(idKey(keyCounts, endpoint), 2)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if bytes.Compare(key, countsKey(endpoint, now-maxCountedHours)) < 0 {
			e.batch.delete(key)
		}
	}
	return nil
}

// Stats counts what an endpoint was sent in some hours, and what waits for it now.
type Stats struct {
	Succeeded, Failed, Canceled uint64 // attempts
	Pending                     uint64 // messages in its held set and its manual set
	Retrying                    uint64 // messages in the retry set
}

// Stats counts an endpoint's attempts from the hour of since to the hour of until.
func (s *Store) Stats(endpoint webhook.ID, since, until time.Time) (stats Stats, err error) {
	first, last := uint64(since.UnixMilli()/hour), uint64(until.UnixMilli()/hour)
	add := func(at uint64, n *counts) {
		if at >= first && at <= last {
			stats.Succeeded, stats.Failed, stats.Canceled = stats.Succeeded+n.succeeded, stats.Failed+n.failed, stats.Canceled+n.canceled
		}
	}
	err = s.view(func(txn *badger.Txn) error {
		c := new(cursor)
		if item, err := txn.Get(idKey(keyCursor, endpoint)); err != nil {
			return err
		} else if err := readRecord(txn, item, c.decode); err != nil {
			return err
		}
		add(c.counts.hour, &c.counts)
		stats.Pending, stats.Retrying = c.counts.held+c.counts.manual, c.counts.waiting
		return seek(txn, idKey(keyCounts, endpoint), countsKey(endpoint, first), func(key, value []byte) error {
			var n counts
			at := binary.BigEndian.Uint64(key[1+idSize:])
			if at > last {
				return errStop
			}
			err := n.decodeHour(value)
			add(at, &n)
			return err
		})
	})
	return stats, err
}
