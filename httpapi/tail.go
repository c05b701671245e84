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

	tailBeat  = 5 * time.Second  // between two signs of life when nothing happens, and two looks at the token
	tailStall = 30 * time.Second // for a reader that takes nothing
	tailTime  = time.Hour        // then the client comes again, perhaps to another node
)

// tailRequest is what a client wants to follow.
type tailRequest struct {
	app, endpoint webhook.ID // zero: all
	status        *webhook.Status
	eventTypes    []string
	from          webhook.ID // the last event that the client has; zero: only what is to come
}

// tail streams attempts and changes of state as server-sent events (HTML Living Standard, section 9.2). Each has an id, and
// so has each sign of life; who comes again with the last one, in Last-Event-ID or from, misses nothing that happened meanwhile.
func (s *Server) tail(ctx *fasthttp.RequestCtx) (answer, error) {
	request, err := s.parseTail(ctx)
	if err != nil {
		return answer{}, err
	}
	who := ownerOf(caller(ctx))
	if err := s.tails.enter(who); err != nil {
		return answer{}, err
	}
	ctx.SetContentType("text/event-stream")
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	ctx.Response.Header.Set("X-Accel-Buffering", "no") // some proxies would hold it back
	ctx.SetConnectionClose()                           // what comes on it from now on is not looked at
	conn, token, live := ctx.Conn(), shownToken(&ctx.Request.Header), s.config.Store.OpenTail()
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.tails.leave(who)
		defer live.Close()
		gone, stop := watchClient(conn)
		defer stop()
		stream := tailStream{Server: s, request: request, token: token, conn: conn, gone: gone, w: w}
		if err := stream.run(live); err != nil && !errors.Is(err, errTailEnd) {
			s.config.Logger.Debug("a tail has ended", "error", err)
		}
	})
	return answer{status: fasthttp.StatusOK}, nil
}

// tailPlaces are the streams of this node. Those of one application are few, and all of them together leave room for operators.
type tailPlaces struct {
	mu           sync.Mutex
	all          int
	applications int
	by           map[owner]int
}

func (t *tailPlaces) enter(who owner) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case who.application && t.by[who] >= maxOwnTails:
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("This node serves %d streams of this application, which is the limit. End one of them.", maxOwnTails)}
	case who.application && t.applications >= maxCustomerTails:
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams of applications already. Ask another node, or later.", maxCustomerTails)}
	case t.all >= maxTails:
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("This node serves %d streams already. Ask another node, or later.", maxTails)}
	}
	t.add(who, 1)
	return nil
}

func (t *tailPlaces) leave(who owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(who, -1)
}

func (t *tailPlaces) add(who owner, n int) {
	if t.by == nil {
		t.by = make(map[owner]int)
	}
	t.all += n
	if who.application {
		t.applications += n
	}
	if t.by[who] += n; t.by[who] == 0 {
		delete(t.by, who)
	}
}

// watchClient reads what comes on the connection of a stream, which means nothing, until the client closes it; then it closes
// gone. The caller must call stop.
func watchClient(conn net.Conn) (gone <-chan struct{}, stop func()) {
	closed := make(chan struct{})
	_ = conn.SetReadDeadline(time.Time{}) // fails only if it is closed, which the reader finds
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

func (s *Server) parseTail(ctx *fasthttp.RequestCtx) (r tailRequest, err error) {
	args := ctx.QueryArgs()
	if err := s.current(); err != nil {
		return r, err
	}
	if r.app, err = s.tailedApplication(ctx); err != nil {
		return r, err
	}
	if name := string(args.Peek("endpoint")); name != "" {
		if r.app.IsZero() {
			return r, badQuery("endpoint", "is looked for in an application: say which, with app")
		}
		endpoint, err := s.config.Store.Endpoint(r.app, name)
		if err != nil {
			return r, err
		}
		r.endpoint = endpoint.ID
	}
	if args.Has("status") {
		status, err := args.GetUint("status")
		if err != nil || status > 4 {
			return r, badQuery("status", "must be 0 (success), 1 (pending), 2 (fail), 3 (sending) or 4 (canceled)")
		}
		r.status = new(webhook.Status(status))
	}
	if r.eventTypes, err = parseList(args, "event_types"); err != nil {
		return r, err
	}
	r.from, err = parseFrom(ctx)
	return r, err
}

// tailedApplication is the application that is to be followed; zero: all.
func (s *Server) tailedApplication(ctx *fasthttp.RequestCtx) (webhook.ID, error) {
	name, key := string(ctx.QueryArgs().Peek("app")), caller(ctx)
	switch {
	case key.Role == webhook.RoleApplication && name == "":
		return key.App, nil
	case key.Role == webhook.RoleApplication:
		own, err := s.ownApplication(key, name)
		if err != nil {
			return webhook.ID{}, err
		}
		return own.ID, nil
	case name == "":
		return webhook.ID{}, nil
	}
	app, err := s.config.Store.Application(name)
	if err != nil {
		return webhook.ID{}, err
	}
	return app.ID, nil
}

// parseFrom reads where to begin: an id of an event, or a time.
func parseFrom(ctx *fasthttp.RequestCtx) (from webhook.ID, err error) {
	name, text := "Last-Event-ID", string(ctx.Request.Header.Peek("Last-Event-ID"))
	if text == "" {
		name, text = "from", string(ctx.QueryArgs().Peek("from"))
	}
	if text == "" {
		return from, nil
	}
	if from, err = webhook.ParseID(webhook.KindEvent, text); err == nil {
		return from, nil
	}
	at, err := parseTime(ctx.QueryArgs(), "from")
	if name != "from" || err != nil {
		return from, badQuery(name, "must be the id of an event of this stream, or a time such as 2026-01-31T12:00:00Z")
	}
	return webhook.NewID(at.UnixMilli(), 0, 0), nil
}

// errTailEnd ends a stream in good order.
var errTailEnd = errors.New("the stream is over")

// tailStream is one stream under way.
type tailStream struct {
	*Server
	request tailRequest
	token   string     // may be revoked meanwhile
	at      webhook.ID // all up to there was told, or is not asked for
	conn    net.Conn
	gone    <-chan struct{} // closed when the client is
	w       *bufio.Writer
}

// run first tells what has happened since the client was here last, then what happens.
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
		err := t.config.Store.PastEvents(t.request.app, t.request.endpoint, from, live.After, func(event wal.Event) error {
			select {
			case <-t.gate.closed:
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
				return t.say("cut", "", map[string]string{"detail": "This reader was too slow, or the node began anew. Come again with the last id: nothing is lost."})
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
		case <-t.gate.closed:
			return t.say("cut", "", map[string]string{"detail": "This node is stopping. Come again, to another one, with the last id: nothing is lost."})
		}
	}
}

// tellPlace gives a sign of life that says how far the stream is. By the standard an id without data would do, and be no event, but not
// all clients remember that as the last one.
func (t *tailStream) tellPlace() error {
	if err := t.show("place", t.at, struct{}{}); err != nil {
		return err
	}
	return t.flush()
}

// permit ends the stream if its token is not good any more. What a good one may see does not change.
func (t *tailStream) permit() error {
	if _, err := t.authenticate(t.token); err != nil {
		return cmp.Or(t.say("cut", "", map[string]string{"detail": "The token of this stream was revoked or has expired."}), errTailEnd)
	}
	return nil
}

// flush sends what is written; only a pause is limited in time, not the whole.
func (t *tailStream) flush() error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(tailStall)); err != nil {
		return err
	}
	return t.w.Flush()
}

// tailAttemptOut is an attempt, without its response.
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

// tell writes an event if the client wants it.
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
	if len(r.eventTypes) > 0 { // reading the message costs something
		m, err := t.config.Store.MessageByID(event.App, event.Attempt.Message)
		if webhook.ErrorCode(err) == webhook.CodeNotFound || err == nil && !slices.Contains(r.eventTypes, m.EventType) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return t.show("attempt", event.ID, tailAttemptOut{attemptOut: showAttempt(event.Attempt, false), AppID: event.App.Text(webhook.KindApplication)})
}

// show writes an event to who may see it. That is looked at for each: who has revoked a token must see nothing more go to it.
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

// say writes one event. JSON has no line breaks of its own.
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
