package wal

import (
	"bytes"
	"errors"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// records reads the records of one state of the store. The state machine reads everything applied,
// from a *pending, locked; everyone else reads a transaction, which is a stored.
type records interface {
	// get returns the value of a record, and reports whether it exists.
	get(key []byte) (value []byte, found bool, err error)
	// seek calls see for each record with this prefix, beginning at from, in order of key. Key and
	// value must not be kept or changed. If see returns errStop, the walk ends without an error.
	seek(prefix, from []byte, see func(key, value []byte) error) error
}

// stored is the records that a transaction reads.
type stored struct{ txn transaction }

func (s stored) get(key []byte) (value []byte, found bool, err error) { return s.txn.record(key) }

func (s stored) seek(prefix, from []byte, see func(key, value []byte) error) error {
	w := newWalk(s.txn, prefix)
	defer w.close()
	return unlessStopped(w.seek(prefix, from, see))
}

// errStop ends a walk early. The walk itself returns nil for it.
var errStop = errors.New("wal: enough")

func unlessStopped(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// view finds what records hold. It is the only code that knows in which of them.
type view struct{ records }

// scan is seek from the first record with this prefix.
func (v view) scan(prefix []byte, see func(key, value []byte) error) error {
	return v.seek(prefix, prefix, see)
}

// dbView is a view of the database as of one commit, which can also be read in pages.
type dbView struct {
	view
	txn transaction
}

func viewOf(txn transaction) dbView { return dbView{view{stored{txn}}, txn} }

// page calls see for each record with this prefix in the direction of the page, beginning with the
// chunk that contains its start. suffix is the number of bytes of an ID that follow the prefix. see
// may keep the value.
func (v dbView) page(p Page, prefix []byte, suffix int, see func(key, value []byte) error) error {
	return v.pageItems(p, prefix, suffix, func(item *badger.Item) error {
		value, err := v.txn.copy(item)
		if err != nil {
			return err
		}
		return see(item.Key(), value)
	})
}

// look is page for callers that keep neither key nor value.
func (v dbView) look(p Page, prefix []byte, suffix int, see func(key, value []byte) error) error {
	return v.pageItems(p, prefix, suffix, func(item *badger.Item) error {
		return v.txn.read(item, func(value []byte) error { return see(item.Key(), value) })
	})
}

func (v dbView) pageItems(p Page, prefix []byte, suffix int, see func(*badger.Item) error) error {
	first, from := bytes.Clone(prefix), p.start()
	if !from.IsZero() {
		first = append(first, from[:suffix]...)
	}
	if !p.Ascending { // behind everything whose key begins like that
		first = append(first, bytes.Repeat([]byte{0xff}, idSize+2)...)
	}
	return v.walk(prefix, first, !p.Ascending, see)
}

// keys calls see with the key of each record with this prefix, beginning at from, in order.
func (v dbView) keys(prefix, from []byte, see func(key []byte) error) error {
	return v.walk(prefix, from, false, func(item *badger.Item) error { return see(item.Key()) })
}

// walk calls see for each record with this prefix, beginning at from. If see returns errStop, the
// walk ends without an error.
func (v dbView) walk(prefix, from []byte, reverse bool, see func(*badger.Item) error) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.Reverse, opts.PrefetchValues = prefix, reverse, false
	it := v.txn.NewIterator(opts)
	defer it.Close()
	for it.Seek(from); it.Valid(); it.Next() {
		if !isRecord(it.Item()) {
			continue
		}
		if err := see(it.Item()); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		v.txn.paced(0)
	}
	return nil
}

// message returns a message of an application. If it has left the log, the error is errNoMessage.
func (v view) message(app, id webhook.ID) (*webhook.Message, error) {
	log := logReader{view: v}
	m, err := log.message(app, id)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errNoMessage
	}
	m.Payload = slices.Clone(m.Payload) // releases the rest of the chunk
	return m, nil
}

// attempt returns an attempt that the index names.
func (v view) attempt(endpoint, id webhook.ID) (*webhook.Attempt, error) {
	history := historyReader{view: v}
	return history.attempt(endpoint, id)
}

// attempts returns attempts at one endpoint, in order. Only the last one comes with its response
// and headers: callers do not need the others, which may be large together.
func (v view) attempts(endpoint webhook.ID, ids []webhook.ID) ([]webhook.Attempt, error) {
	list := make([]webhook.Attempt, 0, len(ids))
	history := historyReader{view: v}
	for i, id := range ids {
		a, err := history.attempt(endpoint, id)
		if err != nil {
			return nil, err
		}
		if i < len(ids)-1 {
			a.Response = nil
			if a.Trace != nil {
				a.Trace.Headers = nil
			}
		}
		list = append(list, *a)
	}
	return list, nil
}

// endpointOf returns the endpoint of an attempt of a message.
func (v view) endpointOf(message, attempt webhook.ID) (endpoint webhook.ID, found bool, err error) {
	value, found, err := v.get(idKey(keyIndex, message, attempt))
	if err != nil || !found {
		return endpoint, false, err
	}
	if len(value) != idSize {
		return endpoint, false, errCut
	}
	return webhook.ID(value), true, nil
}

// eachAttempt calls see for each attempt of a message after the given one, at whatever endpoint, in
// log order. The zero ID is before all of them.
func (v view) eachAttempt(message, after webhook.ID, see func(attempt, endpoint webhook.ID) error) error {
	prefix, from := idKey(keyIndex, message), append(idKey(keyIndex, message, after), 0)
	return v.seek(prefix, from, func(key, value []byte) error { return see(webhook.ID(key[len(prefix):]), webhook.ID(value)) })
}

// cursor returns the cursor of an endpoint, or nil if there is none.
func (v view) cursor(endpoint webhook.ID) (*cursor, error) {
	value, found, err := v.get(idKey(keyCursor, endpoint))
	if err != nil || !found {
		return nil, err
	}
	c := new(cursor)
	return c, c.decode(value)
}

// planned returns the key of a message's line in the retry set of an endpoint, or nil.
func (v view) planned(endpoint, message webhook.ID) (line []byte, err error) {
	key := plannedKey(message, endpoint)
	value, found, err := v.get(key)
	if err != nil || !found {
		return nil, err
	}
	return plannedLine(key, value)
}

// retry returns a message's line in the retry set of an endpoint.
func (v view) retry(endpoint, message webhook.ID) (line webhook.Retry, found bool, err error) {
	key, err := v.planned(endpoint, message)
	if err != nil || key == nil {
		return line, false, err
	}
	value, found, err := v.get(key)
	if err != nil || !found {
		return line, false, err
	}
	line, err = decodeRetry(key, value)
	return line, true, err
}

// manual returns a message's line in the manual set of an endpoint.
func (v view) manual(endpoint, message webhook.ID) (line webhook.Manual, found bool, err error) {
	key := idKey(keyManual, endpoint, message)
	value, found, err := v.get(key)
	if err != nil || !found {
		return line, false, err
	}
	line, err = decodeManual(key, value)
	return line, true, err
}

// isHeld reports whether a message is in the held set of an endpoint.
func (v view) isHeld(endpoint webhook.ID, m *webhook.Message) (held bool, err error) {
	_, held, err = v.get(heldKey(endpoint, webhook.OrderingKeyHash(m.OrderingKey), m.ID))
	return held, err
}

// logReader reads messages. It keeps the chunk that it read last, because most callers read
// neighboring messages next.
type logReader struct {
	view  view
	key   []byte
	chunk []webhook.Message
	bytes int // of all chunks read
}

// message returns a message of an application, or nil if it has left the log. Its payload is a
// slice of the chunk.
func (r *logReader) message(app, id webhook.ID) (*webhook.Message, error) {
	if key := chunkKey(keyLog, app, id); !bytes.Equal(key, r.key) {
		r.key, r.chunk = key, nil
		data, found, err := r.view.get(key)
		if err != nil || !found {
			return nil, err
		}
		r.bytes += len(data)
		if r.chunk, err = decodeMessages(key, data, app); err != nil {
			return nil, err
		}
	}
	i, found := slices.BinarySearchFunc(r.chunk, id, func(m webhook.Message, id webhook.ID) int { return m.ID.Compare(id) })
	if !found {
		return nil, nil
	}
	return &r.chunk[i], nil
}

// historyReader reads attempts. Like a logReader it keeps the chunk that it read last.
type historyReader struct {
	view  view
	key   []byte
	chunk []webhook.Attempt
}

// attempt returns an attempt that the index names. It is in the chunk, and changes with it.
func (r *historyReader) attempt(endpoint, id webhook.ID) (*webhook.Attempt, error) {
	if key := chunkKey(keyHistory, endpoint, id); !bytes.Equal(key, r.key) {
		r.key, r.chunk = key, nil
		data, found, err := r.view.get(key)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, errNoChunk
		}
		if r.chunk, err = decodeAttempts(key, data, endpoint); err != nil {
			return nil, err
		}
	}
	i, found := slices.BinarySearchFunc(r.chunk, id, func(a webhook.Attempt, id webhook.ID) int { return a.ID.Compare(id) })
	if !found {
		return nil, errNoChunk
	}
	return &r.chunk[i], nil
}
