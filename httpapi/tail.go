package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	tailBeat  = 5 * time.Second  // between heartbeats when nothing happens, with which the token is checked
	tailStall = 30 * time.Second // without progress
	tailReady = 32 << 10         // bytes that the kernel keeps of a stream; more would take as much for each slow reader
	tailTime  = time.Hour        // then the client reconnects, perhaps to another node

	maxPastReads = 16              // streams of a node that read the past, with shares
	pastTurn     = 5 * time.Second // of one of them, before others have theirs
	tailStep     = 16              // events that a stream takes from the feed at a time
)

// tailRequest selects the events that a client wants.
type tailRequest struct {
	app, endpoint webhook.ID // zero: all
	status        *webhook.Status
	eventTypes    []string
	from          webhook.ID // the last event that the client has; zero: only new ones
	rate          int        // events per second, the others are counted; -1: all events
	pulse         bool       // counts once a second
	byCustomer    bool       // with a token of an application
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
	_ = connOf(r.http.Conn()).SetWriteBuffer(tailReady)   // fails only if it is closed
	r.http.SetConnectionClose()                           // further requests on it are not read
	conn, token, view := r.http.Conn(), tokenOf(&r.http.Request.Header), s.feeds.join(wanted.app)
	r.http.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer s.tails.leave(client)
		defer s.feeds.leave(view)
		gone, stop := watchClient(conn)
		defer stop()
		stream := tailStream{server: s, client: client, request: wanted, token: token, view: view, conn: conn, gone: gone, w: w}
		if err := stream.run(); err != nil && !errors.Is(err, errTailEnd) {
			s.config.Logger.Debug("a tail has ended", "error", err)
		}
	})
	return ok(nil), nil
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
	if t.app, t.endpoint, err = r.named().scope(); err != nil {
		return t, err
	}
	q := r.query()
	t.status, t.eventTypes, t.from = q.status(), q.list("event_types"), tailFrom(r, &q)
	t.rate, t.pulse, t.byCustomer = tailRate(&q), q.bool("pulse", false), r.byCustomer()
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

// tailRate reads how many events a second the client wants; -1 means all.
func tailRate(q *query) int {
	if !q.has("rate") {
		return -1
	}
	rate, valid := q.number("rate")
	if !valid || rate > maxTailRate {
		q.fail("rate", fmt.Sprintf("must be a number from 0 to %d: events per second", maxTailRate))
	}
	return rate
}
