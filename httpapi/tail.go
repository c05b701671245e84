package httpapi

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	maxTails         = 64 // streams of one node
	maxCustomerTails = 48 // of them, with tokens of applications
	maxOwnTails      = 4  // of them, with tokens of one application

	tailBeat  = 5 * time.Second  // between heartbeats when nothing happens, with which the token is checked
	tailStall = 30 * time.Second // without progress
	tailTime  = time.Hour        // then the client reconnects, perhaps to another node
)

// tailRequest selects the events that a client wants.
type tailRequest struct {
	app, endpoint webhook.ID // zero: all
	status        *webhook.Status
	eventTypes    []string
	from          webhook.ID // the last event that the client has; zero: only new ones
}

// streamEvents streams attempts and changes of state as server-sent events (section 9.2 of the HTML
// Living Standard). Events and heartbeats have an ID. A client that continues with the last one, in
// Last-Event-ID or from, does not miss anything that happened in between.
func streamEvents(r *request) (*response, error) {
	wanted, err := parseTail(r)
	if err != nil {
		return nil, err
	}
	s, client := r.server, ownerOf(r.caller)
	if err := s.tails.enter(client); err != nil {
		return nil, err
	}
	r.http.SetContentType("text/event-stream")
	r.http.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	r.http.Response.Header.Set("X-Accel-Buffering", "no") // for proxies that would buffer it
	r.http.SetConnectionClose()                           // further requests on it are not read
	conn, token, live := r.http.Conn(), tokenOf(&r.http.Request.Header), r.store().OpenTail()
	r.http.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.tails.leave(client)
		defer live.Close()
		gone, stop := watchClient(conn)
		defer stop()
		stream := tailStream{server: s, request: wanted, token: token, conn: conn, gone: gone, w: w}
		if err := stream.run(live); err != nil && !errors.Is(err, errTailEnd) {
			s.config.Logger.Debug("a tail has ended", "error", err)
		}
	})
	return ok(nil), nil
}

// tailPlaces limits the streams of this node: for each application, and for all of them together,
// so that there is room for operators.
type tailPlaces struct {
	mu           sync.Mutex
	all          int
	applications int
	by           map[owner]int
}

func (t *tailPlaces) enter(client owner) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case client.application && t.by[client] >= maxOwnTails:
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("This node serves %d streams of this application, which is the limit. End one of them.", maxOwnTails)}
	case client.application && t.applications >= maxCustomerTails:
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams of applications already. Ask another node, or later.", maxCustomerTails)}
	case t.all >= maxTails:
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams already. Ask another node, or later.", maxTails)}
	}
	t.add(client, 1)
	return nil
}

func (t *tailPlaces) leave(client owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(client, -1)
}

func (t *tailPlaces) add(client owner, n int) {
	if t.by == nil {
		t.by = make(map[owner]int)
	}
	t.all += n
	if client.application {
		t.applications += n
	}
	if t.by[client] += n; t.by[client] == 0 {
		delete(t.by, client)
	}
}

// watchClient reads and ignores what arrives on the connection of a stream until the client closes
// it; then it closes gone. The caller must call stop.
func watchClient(conn net.Conn) (gone <-chan struct{}, stop func()) {
	closed := make(chan struct{})
	_ = conn.SetReadDeadline(time.Time{}) // fails only if it is closed, which the reader notices
	go func() {
		defer close(closed)
		buffer := make([]byte, 512)
		for {
			if _, err := conn.Read(buffer); err != nil {
				return
			}
		}
	}()
	return closed, func() {
		_ = conn.SetReadDeadline(time.Unix(1, 0)) // in the past: the reader ends
		<-closed
	}
}

func parseTail(r *request) (t tailRequest, err error) {
	if err := r.current(); err != nil {
		return t, err
	}
	if t.app, t.endpoint, err = r.scope(); err != nil {
		return t, err
	}
	q := r.query()
	t.status, t.eventTypes, t.from = q.status(), q.list("event_types"), tailFrom(r, &q)
	return t, q.err
}

// tailFrom reads where to begin: the ID of an event, or a time.
func tailFrom(r *request, q *query) (from webhook.ID) {
	name, text := "Last-Event-ID", string(r.http.Request.Header.Peek("Last-Event-ID"))
	if text == "" {
		name, text = "from", q.text("from")
	}
	if text == "" {
		return from
	}
	from, err := webhook.ParseID(webhook.KindEvent, text)
	if err == nil {
		return from
	}
	times := r.query()
	at := times.time("from")
	if name != "from" || times.err != nil {
		q.fail(name, "must be the id of an event of this stream, or a time such as 2026-01-31T12:00:00Z")
		return from
	}
	return webhook.NewID(at.UnixMilli(), 0, 0)
}

// errTailEnd ends a stream normally.
var errTailEnd = errors.New("the stream is over")

// tailStream is an open stream.
type tailStream struct {
	server  *Server
	request tailRequest
	token   string     // may be revoked at any time
	at      webhook.ID // everything up to it was sent, or is not wanted
	conn    net.Conn
	gone    <-chan struct{} // closed when the client has gone
	w       *bufio.Writer
}

// run first sends what has happened since the last event that the client has, then what happens.
func (t *tailStream) run(live *wal.Tail) error {
	end := time.NewTimer(tailTime)
	defer end.Stop()
	beat := time.NewTicker(tailBeat)
	defer beat.Stop()
	from := t.request.from
	past := !from.IsZero() && live.After.After(from)
	if t.at = live.After; past {
		t.at = from
	}
	if err := t.tellPlace(); err != nil {
		return err
	}
	if past {
		err := t.server.config.Store.PastEvents(t.request.app, t.request.endpoint, from, live.After, func(event wal.Event) error {
			select {
			case <-t.server.api.gate.closed:
				return errTailEnd
			case <-t.gone:
				return errTailEnd
			case <-beat.C:
				if err := t.tellPlace(); err != nil {
					return err
				}
			default:
			}
			return t.tell(&event)
		})
		if err != nil {
			return err
		}
		t.at = live.After
	}
	for {
		if len(live.Events) == 0 {
			if err := t.flush(); err != nil {
				return err
			}
		}
		select {
		case event, open := <-live.Events:
			if !open {
				return t.say("cut", "", map[string]string{"detail": "The reader was too slow, or the node restarted. Reconnect with the last ID: nothing is lost."})
			}
			if err := t.tell(&event); err != nil {
				return err
			}
		case <-beat.C:
			if err := t.tellPlace(); err != nil {
				return err
			}
		case <-t.gone:
			return errTailEnd
		case <-end.C:
			return t.say("cut", "", map[string]string{"detail": "A stream lasts an hour. Come again with the last id: nothing is lost."})
		case <-t.server.api.gate.closed:
			return t.say("cut", "", map[string]string{"detail": "This node is stopping. Come again, to another one, with the last id: nothing is lost."})
		}
	}
}

// tellPlace sends a heartbeat with the position of the stream. According to the standard an id
// without data would suffice, but not all clients remember it as the last one.
func (t *tailStream) tellPlace() error {
	if err := t.show("place", t.at, struct{}{}); err != nil {
		return err
	}
	return t.flush()
}

// permit returns an error, which ends the stream, if its token has become invalid. The permissions
// of a valid token do not change.
func (t *tailStream) permit() error {
	if _, err := t.server.auth.authenticate(t.token); err != nil {
		return cmp.Or(t.say("cut", "", map[string]string{"detail": "The token of this stream was revoked or has expired."}), errTailEnd)
	}
	return nil
}

// flush sends what was written. A pause is limited in time, not the whole.
func (t *tailStream) flush() error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(tailStall)); err != nil {
		return err
	}
	return t.w.Flush()
}

// tailAttemptOut is an attempt without its response.
type tailAttemptOut struct {
	attemptOut
	AppID string `json:"appId"`
}

type tailChangeOut struct {
	Change     webhook.Change `json:"change"`
	AppID      string         `json:"appId"`
	EndpointID *string        `json:"endpointId"`
	TaskID     *string        `json:"taskId"`
	Timestamp  time.Time      `json:"timestamp"`
}

// tell sends an event if the client wants it.
func (t *tailStream) tell(event *wal.Event) error {
	r := &t.request
	t.at = event.ID
	if !r.app.IsZero() && event.App != r.app || !r.endpoint.IsZero() && event.Endpoint != r.endpoint {
		return nil
	}
	if c := event.Change; c != nil {
		if r.status != nil || len(r.eventTypes) > 0 {
			return nil
		}
		return t.show("change", event.ID, tailChangeOut{Change: c.Change, AppID: c.App.Text(webhook.KindApplication), EndpointID: optionalID(c.Endpoint, webhook.KindEndpoint),
			TaskID: optionalID(c.Task, webhook.KindTask), Timestamp: c.ID.Time()})
	}
	if r.status != nil && event.Attempt.Status != *r.status {
		return nil
	}
	if len(r.eventTypes) > 0 { // needs to read the message
		m, err := t.server.config.Store.MessageByID(event.App, event.Attempt.Message)
		if webhook.ErrorCode(err) == webhook.CodeNotFound || err == nil && !slices.Contains(r.eventTypes, m.EventType) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return t.show("attempt", event.ID, tailAttemptOut{attemptOut: showAttempt(event.Attempt, false), AppID: event.App.Text(webhook.KindApplication)})
}

// show sends an event if the token is still valid. That is checked for each event: once a token is
// revoked, nothing more must be sent to it.
func (t *tailStream) show(name string, id webhook.ID, data any) error {
	if err := t.permit(); err != nil {
		return err
	}
	return t.say(name, id.Text(webhook.KindEvent), data)
}

func optionalID(id webhook.ID, kind webhook.Kind) *string {
	if id.IsZero() {
		return nil
	}
	return new(id.Text(kind))
}

// say writes one event. Encoded JSON has no line breaks.
func (t *tailStream) say(event, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var out strings.Builder
	if id != "" {
		out.WriteString("id: " + id + "\n")
	}
	fmt.Fprintf(&out, "event: %s\ndata: %s\n\n", event, text)
	if t.w.Available() < out.Len() {
		if err := t.flush(); err != nil {
			return err
		}
	}
	_, err = t.w.WriteString(out.String())
	return err
}
