package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// Reasons for which a part of a stream ends, none of which is a failure.
var (
	errTailEnd = errors.New("the stream is over")
	errBehind  = errors.New("the events that follow are only in the store")
	errTurn    = errors.New("other streams have their turn")
)

// tailStream is an open stream.
type tailStream struct {
	server  *Server
	client  owner
	request tailRequest
	token   string // may be revoked at any time
	view    *feedView
	conn    net.Conn
	gone    <-chan struct{} // closed when the client has gone
	w       *bufio.Writer

	seen      webhook.ID // everything up to it was looked at
	at        webhook.ID // everything up to it was sent or counted, or is not wanted
	sampler   *sampler   // nil: all events are sent
	permitted bool       // the token was valid after all that is about to be written had happened

	end     *time.Timer
	beat    *time.Ticker
	window  *time.Timer     // when a part of a second is over, for the sampler; stopped while that is empty
	seconds <-chan struct{} // closed when a pulse is due
}

// run first sends what has happened since the last event that the client has, then what happens. A
// client that is so slow that the feed has dropped what follows gets that from the store.
func (t *tailStream) run() error {
	t.end, t.beat, t.window = time.NewTimer(tailTime), time.NewTicker(tailBeat), time.NewTimer(tailTime)
	t.window.Stop()
	defer t.end.Stop()
	defer t.beat.Stop()
	defer t.window.Stop()
	if t.request.rate >= 0 {
		t.sampler = newSampler(t.request.rate)
	}
	if t.request.pulse {
		t.seconds = t.view.feed.endOfSecond()
	}
	last, next := t.view.position()
	if t.seen = last; !t.request.from.IsZero() && last.After(t.request.from) {
		t.seen = t.request.from
	}
	t.at = t.seen
	if err := t.sendPlace(); err != nil {
		return err
	}
	for {
		if last.After(t.seen) {
			if err := t.readPast(last); err != nil {
				return err
			}
		}
		if err := t.follow(next); !errors.Is(err, errBehind) {
			return err
		}
		last, next = t.view.position()
	}
}

// readPast sends the events after those that were seen, up to last. It reads a part of the history
// of each endpoint, so few streams do so at a time, in turns.
func (t *tailStream) readPast(last webhook.ID) error {
	for {
		if err := t.wait(ready); err != nil {
			return err
		}
		loan, err := t.server.pastReads.lend(t.client, 1)
		if err != nil {
			continue // all turns are taken
		}
		end := time.Now().Add(pastTurn)
		err = t.past().PastEvents(t.request.app, t.request.endpoint, t.seen, last, func(event wal.Event) error {
			if err := t.take(&feedItem{event: event}); err != nil {
				return err
			}
			if time.Now().After(end) {
				return errTurn
			}
			return t.wait(ready)
		})
		loan.end()
		switch {
		case err == nil:
			t.pass(last)
			return nil
		case !errors.Is(err, errTurn):
			return err
		}
	}
}

// past returns what reads the past.
func (t *tailStream) past() *wal.Reader {
	var paced *pacedRead
	if t.client.application {
		paced = t.server.reads.begin(t.client.id)
	}
	return paced.store(t.server.config.Store)
}

// follow sends what happens, beginning with an event of the feed.
func (t *tailStream) follow(next uint64) error {
	step := make([]*feedItem, tailStep)
	for {
		part, known := t.view.read(next, step)
		if !known {
			return errBehind
		}
		t.permitted = false
		for _, item := range step[:part.count] {
			if err := t.take(item); err != nil {
				return err
			}
		}
		next += uint64(part.count)
		if clear(step); part.count > 0 {
			part.more = ready
		} else {
			t.pass(part.at)
			if err := t.flush(); err != nil {
				return err
			}
		}
		if err := t.wait(part.more); err != nil {
			return err
		}
	}
}

// ready is for not waiting.
var ready = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// wait waits for more events, or for another reason to send something or to end.
func (t *tailStream) wait(more <-chan struct{}) error {
	t.permitted = false
	select {
	case <-more:
		return nil
	case <-t.window.C:
		return t.endWindow()
	case <-t.seconds:
		t.seconds = t.view.feed.endOfSecond()
		return t.sendPulse()
	case <-t.beat.C:
		return t.sendPlace()
	case <-t.gone:
		return errTailEnd
	case <-t.end.C:
		return t.cut("A stream lasts an hour. Reconnect with the last ID: nothing is lost.")
	case <-t.view.feed.done:
		return t.cut("This node has replaced its state. Reconnect with the last ID: nothing is lost.")
	case <-t.server.api.gate.closed:
		return t.cut("This node is stopping. Reconnect, to another one, with the last ID: nothing is lost.")
	}
}

// take sends an event if the client wants it, or leaves that to the sampler.
func (t *tailStream) take(item *feedItem) error {
	wanted, err := t.wants(item)
	switch {
	case err != nil:
		return err
	case wanted && t.sampler != nil:
		if t.sampler.isEmpty() {
			t.window.Reset(t.sampler.window())
		}
		t.sampler.add(item)
	case wanted:
		if err := t.send(item); err != nil {
			return err
		}
	}
	t.pass(item.event.ID)
	return nil
}

// pass records that everything up to an ID was looked at.
func (t *tailStream) pass(id webhook.ID) {
	if t.seen = id; t.sampler == nil || t.sampler.isEmpty() {
		t.at = id
	}
}

// wants reports whether the client wants an event.
func (t *tailStream) wants(item *feedItem) (bool, error) {
	r, event := &t.request, &item.event
	switch {
	case !r.app.IsZero() && event.App != r.app, !r.endpoint.IsZero() && event.Endpoint != r.endpoint:
		return false, nil
	case event.Change != nil:
		return r.status == nil && len(r.eventTypes) == 0 && (!r.byCustomer || event.Change.ForCustomers()), nil
	case r.status != nil && event.Attempt.Status != *r.status:
		return false, nil
	case len(r.eventTypes) == 0:
		return true, nil
	}
	eventType, err := item.messageType(t.server.config.Store)
	return slices.Contains(r.eventTypes, eventType), err
}

// endWindow sends what the sampler has chosen, and counts the rest.
func (t *tailStream) endWindow() error {
	chosen, skipped := t.sampler.end()
	for _, item := range chosen {
		if err := t.send(item); err != nil {
			return err
		}
	}
	clear(chosen)
	if t.at = t.seen; skipped != (skippedOut{}) {
		if err := t.show("skipped", t.at, skipped); err != nil {
			return err
		}
	}
	return t.flush()
}

// sendPlace sends a heartbeat with the position of the stream. According to the standard an id
// without data would suffice, but not all clients remember it as the last one.
func (t *tailStream) sendPlace() error {
	if err := t.show("place", t.at, struct{}{}); err != nil {
		return err
	}
	return t.flush()
}

// permit returns an error, which ends the stream, if its token has become invalid. That is checked
// after the events to be sent have happened: once a token is revoked, nothing later is sent to it.
// The permissions of a valid token do not change.
func (t *tailStream) permit() error {
	if t.permitted {
		return nil
	}
	if _, err := t.server.auth.authenticate(t.token); err != nil {
		return t.cut("The token of this stream was revoked or has expired.")
	}
	t.permitted = true
	return nil
}

// cut says why the stream ends, and ends it.
func (t *tailStream) cut(why string) error {
	text, err := encodeEvent("cut", webhook.ID{}, map[string]string{"detail": why})
	if err == nil {
		err = t.write(text)
	}
	return cmp.Or(err, errTailEnd)
}

// send sends an event.
func (t *tailStream) send(item *feedItem) error {
	if err := t.permit(); err != nil {
		return err
	}
	encode := item.encoded
	if t.request.byCustomer {
		encode = item.forCustomers
	}
	text, err := encode()
	if err != nil {
		return err
	}
	return t.write(text)
}

// show sends something other than an event of the log.
func (t *tailStream) show(name string, id webhook.ID, data any) error {
	if err := t.permit(); err != nil {
		return err
	}
	text, err := encodeEvent(name, id, data)
	if err != nil {
		return err
	}
	return t.write(text)
}

func (t *tailStream) write(text []byte) error {
	if t.w.Available() < len(text) {
		if err := t.flush(); err != nil {
			return err
		}
	}
	_, err := t.w.Write(text)
	return err
}

// flush sends what was written. A pause is limited in time, not the whole.
func (t *tailStream) flush() error {
	if t.w.Buffered() == 0 {
		return nil
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(tailStall)); err != nil {
		return err
	}
	err := t.w.Flush()
	t.permitted = false // it may have taken long
	return err
}

// tailAttemptOut is an attempt without its response.
type tailAttemptOut struct {
	attemptOut
	AppID string `json:"appId"`
}

func optionalID(id webhook.ID, kind webhook.Kind) *string {
	if id.IsZero() {
		return nil
	}
	return new(id.Text(kind))
}

// encodeEvent encodes a server-sent event, without an ID if that is zero. Encoded JSON has no line
// breaks.
func encodeEvent(name string, id webhook.ID, data any) ([]byte, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if !id.IsZero() {
		out.WriteString("id: " + id.Text(webhook.KindEvent) + "\n")
	}
	out.WriteString("event: " + name + "\ndata: ")
	out.Write(text)
	out.WriteString("\n\n")
	return out.Bytes(), nil
}
