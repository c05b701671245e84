package wal

import (
	"encoding/binary"

	"hookwheel/webhook"
)

const manualRetries = 1 << 0

// encodeManual: flags 1 | number of the manual attempt | scheduled attempts made | task 20
func encodeManual(line *webhook.Manual) []byte {
	value := []byte{0}
	if line.Retry {
		value[0] |= manualRetries
	}
	value = binary.AppendUvarint(value, uint64(line.Number))
	value = binary.AppendUvarint(value, uint64(line.Made))
	return append(value, line.Task[:]...)
}

func decodeManual(key, value []byte) (line webhook.Manual, err error) {
	r := reader{rest: value}
	flags := r.byte()
	line = webhook.Manual{Message: webhook.ID(key[1+idSize:]), Retry: flags&manualRetries != 0,
		Number: r.uint32(), Made: r.uint32(), Task: r.id()}
	return line, r.end()
}

// resend has a message sent to an endpoint once more, whatever its filters say and whatever became of it before.
func (e *entry) resend(c *resend) error {
	endpoint := e.store.nouns.endpoints[c.Endpoint]
	if endpoint == nil || endpoint.App != c.App {
		return errNoEndpoint
	}
	m, err := e.message(c.App, c.Message)
	switch {
	case err != nil:
		return err
	case m.Expunged:
		return errNoPayload
	}
	asked, err := e.askManual(c.Endpoint, c.Message, webhook.ID{}, false)
	if asked {
		e.putCursor(c.Endpoint, e.store.nouns.cursors[c.Endpoint])
	}
	return err
}

// message reads one from the log; those of this entry, which are not written yet, are not found.
func (e *entry) message(app, id webhook.ID) (*webhook.Message, error) {
	key := chunkKey(keyLog, app, id)
	data, found, err := e.store.get(key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoMessage
	}
	return findMessage(key, data, app, id)
}

// askManual puts a message into the manual set of an endpoint, whose cursor is then to be put. One that stands there already is
// not sent twice, but may be for another from now on.
func (e *entry) askManual(endpoint webhook.ID, message, task webhook.ID, retry bool) (asked bool, err error) {
	c := e.store.nouns.cursors[endpoint]
	key := idKey(keyManual, endpoint, message)
	value, stands, err := e.store.get(key)
	if err != nil {
		return false, err
	}
	if stands {
		return e.takeOver(key, value, task)
	}
	line := webhook.Manual{Number: 1, Task: task, Retry: retry}
	err = e.attemptsAt(endpoint, message, func(a *webhook.Attempt) error {
		if a.Trigger == webhook.TriggerManual {
			line.Number = max(line.Number, a.Number+1)
		} else {
			line.Made = max(line.Made, a.Number)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	e.store.mu.Lock()
	c.counts.manual++
	e.store.mu.Unlock()
	e.changes.addManual(endpoint)
	e.batch.set(key, encodeManual(&line))
	return true, nil
}

// takeOver gives a line that stands for a task to a person or to a newer task, whose it stays if the first is paused or canceled.
func (e *entry) takeOver(key, value []byte, task webhook.ID) (taken bool, err error) {
	line, err := decodeManual(key, value)
	if err != nil || line.Task.IsZero() || !task.IsZero() && !task.After(line.Task) {
		return false, err
	}
	e.edit(e.task(line.Task)).Taken--
	line.Task = task
	e.changes.addManual(webhook.ID(key[1:]))
	e.batch.set(key, encodeManual(&line))
	return true, nil
}

// takeManual takes a line out of the manual set. A success settles the message altogether; a failure is put into the retry set
// only if it was asked to be, and the message does not stand there already.
func (e *entry) takeManual(endpoint webhook.ID, c *cursor, o *webhook.Outcome) (settled bool, err error) {
	message := o.Attempt.Message
	key := idKey(keyManual, endpoint, message)
	value, found, err := e.store.get(key)
	if err != nil || !found {
		return false, err
	}
	line, err := decodeManual(key, value)
	if err != nil {
		return false, err
	}
	if _, err := e.remove(key, &c.counts.manual); err != nil {
		return false, err
	}
	e.countAttempt(line.Task, o.Attempt.Status)
	planned, err := e.plannedRetry(endpoint, message)
	if err != nil {
		return false, err
	}
	if o.Attempt.Status == webhook.StatusSuccess {
		if planned != nil {
			_, err = e.remove(planned, &c.counts.waiting)
		}
		return false, err
	}
	if planned != nil || o.Attempt.Next.IsZero() {
		return false, nil
	}
	c.counts.waiting++
	e.plan(endpoint, message, &webhook.Retry{Due: o.Attempt.Next, Made: line.Made, Spent: o.Spent, Key: o.Key})
	return false, nil
}

// plannedRetry returns the key of a message's line in the retry set of an endpoint, or nil.
func (e *entry) plannedRetry(endpoint, message webhook.ID) (line []byte, err error) {
	key := plannedKey(message, endpoint)
	value, found, err := e.store.get(key)
	if err != nil || !found {
		return nil, err
	}
	return plannedLine(key, value)
}

// attemptsAt calls see for each recorded attempt of a message at an endpoint, those of this entry not among them.
func (e *entry) attemptsAt(endpoint, message webhook.ID, see func(*webhook.Attempt) error) error {
	return e.attemptsOf(message, func(at webhook.ID) bool { return at == endpoint }, see)
}

// attemptsOf is attemptsAt for all endpoints that want tells of.
func (e *entry) attemptsOf(message webhook.ID, want func(endpoint webhook.ID) bool, see func(*webhook.Attempt) error) error {
	prefix := idKey(keyIndex, message)
	return e.store.seek(prefix, prefix, func(key, value []byte) error {
		id, endpoint := webhook.ID(key[len(prefix):]), webhook.ID(value)
		if !want(endpoint) || id.Index() == e.batch.meta.index { // the chunk of this entry is not written yet
			return nil
		}
		chunk := chunkKey(keyHistory, endpoint, id)
		data, _, err := e.store.get(chunk)
		if err != nil {
			return err
		}
		a, err := findAttempt(chunk, data, endpoint, id)
		if err != nil {
			return err
		}
		return see(a)
	})
}
