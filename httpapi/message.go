package httpapi

import (
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// appendMessageOut writes a message as the API shows it. It is written by hand because it is the answer of the hot path and
// because the payload goes back as it came; the other strings hold nothing that JSON would escape.
func appendMessageOut(dst []byte, m *webhook.Message, withContent bool) []byte {
	dst = slices.Grow(dst, 256)
	if withContent {
		dst = slices.Grow(dst, 256+len(m.Payload))
	}
	dst = append(dst, `{"id":"`...)
	dst = m.ID.Append(dst, webhook.KindMessage)
	dst = append(dst, `","eventType":"`...)
	dst = append(dst, m.EventType...)
	dst = append(dst, `","eventId":`...)
	dst = appendOptional(dst, m.EventID)
	dst = append(dst, `,"channels":`...)
	dst = appendChannels(dst, m.Channels)
	dst = append(dst, `,"timestamp":"`...)
	dst = m.ID.Time().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","payload":`...)
	if withContent {
		dst = append(dst, m.Payload...)
	} else {
		dst = append(dst, "{}"...)
	}
	return append(dst, '}')
}

func appendOptional(dst []byte, word string) []byte {
	if word == "" {
		return append(dst, "null"...)
	}
	return append(append(append(dst, '"'), word...), '"')
}

func appendChannels(dst []byte, channels []string) []byte {
	if len(channels) == 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, `["`...)
	dst = append(dst, strings.Join(channels, `","`)...)
	return append(dst, `"]`...)
}

// parseMessage reads a message whose Payload is a part of text.
func parseMessage(text []byte) (m webhook.Message, err error) {
	b, err := parseBody(text)
	if err != nil {
		return m, err
	}
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "eventType":
			m.EventType = b.string(name, v)
		case "eventId":
			m.EventID = b.optionalString(name, v)
		case "channels":
			m.Channels = b.strings(name, v)
		case "payload", "data":
			if !v.IsObject() {
				b.fail(name, "must be a JSON object")
				return
			}
			m.Payload = text[v.Index : v.Index+len(v.Raw)]
		}
	})
	if m.EventType == "" {
		b.fail("eventType", "is missing")
	}
	if m.Payload == nil && len(b.errs) == 0 {
		b.fail("payload", "is missing")
	}
	if err := b.err(); err != nil {
		return m, err
	}
	return m, m.Validate(time.Now())
}

func (s *Server) createMessage(ctx *fasthttp.RequestCtx) (answer, error) {
	withContent, err := parseBool(ctx.QueryArgs(), "with_content", true)
	if err != nil {
		return answer{}, err
	}
	app, err := s.applicationToWrite(ctx)
	if err != nil {
		return answer{}, err
	}
	m, err := parseMessage(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	m.App = app.ID
	hold, cancel := s.hold(ctx)
	defer cancel()
	if m.ID, err = s.config.Writer.CreateMessage(hold, &m); err != nil {
		return answer{}, err
	}
	if repeated(ctx) {
		return s.firstAnswer(&m, withContent)
	}
	s.accepted.Inc()
	return answer{fasthttp.StatusAccepted, rawJSON(appendMessageOut(nil, &m, withContent))}, nil
}

// firstAnswer is to a message that was sent before under the idempotency key of this request, whose body may say something else.
func (s *Server) firstAnswer(m *webhook.Message, withContent bool) (answer, error) {
	if err := s.current(); err != nil {
		return answer{}, err
	}
	first, err := s.config.Store.Message(m.App, m.ID.Text(webhook.KindMessage))
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusAccepted, rawJSON(appendMessageOut(nil, first, withContent))}, nil
}

func (s *Server) getMessage(ctx *fasthttp.RequestCtx) (answer, error) {
	withContent, err := parseBool(ctx.QueryArgs(), "with_content", true)
	if err != nil {
		return answer{}, err
	}
	_, m, err := s.message(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, rawJSON(appendMessageOut(nil, m, withContent))}, nil
}

func (s *Server) listMessages(ctx *fasthttp.RequestCtx) (answer, error) {
	args := ctx.QueryArgs()
	withContent, err := parseBool(args, "with_content", true)
	if err != nil {
		return answer{}, err
	}
	l, err := parseListing(args, webhook.KindMessage, false)
	if err != nil {
		return answer{}, err
	}
	if err := l.parseTimes(args); err != nil {
		return answer{}, err
	}
	app, err := s.application(ctx)
	if err != nil {
		return answer{}, err
	}
	filter := wal.MessageFilter{EventTypes: parseList(args, "event_types"), Channel: string(args.Peek("channel"))}
	list, more, err := s.config.Store.Messages(app.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return respond(l, list, more, func(m *webhook.Message) webhook.ID { return m.ID },
		func(m *webhook.Message) messageOut { return appendMessageOut(nil, m, withContent) }), nil
}

// messageOut is JSON text within a page.
type messageOut []byte

// MarshalJSON gives the text as it is.
func (m messageOut) MarshalJSON() ([]byte, error) { return m, nil }

// message is the one that the path names, as of now, and its application.
func (s *Server) message(ctx *fasthttp.RequestCtx) (*webhook.Application, *webhook.Message, error) {
	app, err := s.application(ctx)
	if err != nil {
		return nil, nil, err
	}
	m, err := s.config.Store.Message(app.ID, pathValue(ctx, "msg"))
	return app, m, err
}
