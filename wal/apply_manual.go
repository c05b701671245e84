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

// manualSet changes the manual sets of endpoints for an entry.
type manualSet struct{ *entry }

// resend sends a message to an endpoint once more, whatever the endpoint's filters say and whatever
// became of the message before.
func (e manualSet) resend(c *resend) error {
	endpoint := e.store.catalog.endpoints[c.Endpoint]
	if endpoint == nil || endpoint.App != c.App {
		return errNoEndpoint
	}
	m, err := e.log.message(c.App, c.Message)
	switch {
	case err != nil:
		return err
	case m == nil:
		return errNoMessage
	case m.Expunged:
		return errNoPayload
	}
	asked, err := e.ask(c.Endpoint, c.Message, webhook.ID{}, false)
	if asked {
		recorder(e).putCursor(c.Endpoint, e.store.catalog.cursors[c.Endpoint])
	}
	return err
}

// ask puts a message into the manual set of an endpoint. The caller then writes the
// endpoint's cursor. A message that is already in the set is not sent twice, but the line may pass
// to another task.
func (e manualSet) ask(endpoint webhook.ID, message, task webhook.ID, retry bool) (asked bool, err error) {
	c := e.store.catalog.cursors[endpoint]
	key := idKey(keyManual, endpoint, message)
	value, found, err := e.store.pending.get(key)
	if err != nil {
		return false, err
	}
	if found {
		return e.takeOver(key, value, task)
	}
	made, err := e.numbersOf(delivered{endpoint, message})
	if err != nil {
		return false, err
	}
	line := webhook.Manual{Number: max(1, made.manual), Made: made.scheduled, Task: task, Retry: retry}
	e.store.mu.Lock()
	c.counts.manual++
	e.store.mu.Unlock()
	e.changes.AddManual(endpoint)
	e.batch.set(key, encodeManual(&line))
	return true, nil
}

// takeOver gives the line of a task to a user or to a newer task. The line stays theirs if the
// first task is paused or canceled.
func (e manualSet) takeOver(key, value []byte, task webhook.ID) (taken bool, err error) {
	line, err := decodeManual(key, value)
	if err != nil || line.Task.IsZero() || !task.IsZero() && !task.After(line.Task) {
		return false, err
	}
	taskTable(e).edit(taskTable(e).find(line.Task)).Taken--
	line.Task = task
	e.changes.AddManual(webhook.ID(key[1:]))
	e.batch.set(key, encodeManual(&line))
	return true, nil
}

// take removes a line from the manual set. A success settles the message completely. A
// failure goes into the retry set only if the caller asked for that and the message does not wait
// anyway: in that set, behind another of its ordering key, or for the cursor.
func (e manualSet) take(endpoint webhook.ID, c *cursor, o *webhook.Outcome) (settled bool, err error) {
	message := o.Attempt.Message
	line, found, err := e.view().manual(endpoint, message)
	switch {
	case err != nil:
		return false, err
	case found:
		if _, err := recorder(e).remove(idKey(keyManual, endpoint, message), &c.counts.manual); err != nil {
			return false, err
		}
		taskTable(e).countAttempt(line.Task, o.Attempt.Status)
	case o.Attempt.Status != webhook.StatusSuccess: // its task was canceled while it was sent
		return false, nil
	}
	planned, err := e.view().planned(endpoint, message)
	if err != nil {
		return false, err
	}
	if o.Attempt.Status == webhook.StatusSuccess {
		if planned != nil {
			_, err = recorder(e).remove(planned, &c.counts.waiting)
		}
		return false, err
	}
	if planned != nil || o.Attempt.Next.IsZero() || c.isFresh(message) {
		return false, nil
	}
	if _, held, err := e.store.pending.get(heldKey(endpoint, o.Key, message)); err != nil || held {
		return false, err
	}
	c.counts.waiting++
	recorder(e).plan(endpoint, message, &webhook.Retry{Due: o.Attempt.Next, Made: line.Made, Spent: o.Spent, Key: o.Key})
	return false, nil
}

// numbersOf counts the recorded attempts of a message at an endpoint, except those of this entry,
// whose chunk is not written yet. They are left to be counted the next time.
func (e manualSet) numbersOf(at delivered) (numbers, error) {
	memo := &e.store.catalog.numbered
	is, found := memo.get(at)
	looked := 0
	err := e.view().eachAttempt(at.message, is.upTo, func(id, endpoint webhook.ID) error {
		if id.Index() == e.batch.meta.index { // and so are all that follow
			return errStop
		}
		looked++
		if is.upTo = id; endpoint != at.endpoint {
			return nil
		}
		a, err := e.past.attempt(endpoint, id)
		if err == nil {
			is.count(a)
		}
		return err
	})
	if err == nil && (found || looked >= longHistory) {
		memo.put(at, is)
	}
	return is, err
}
