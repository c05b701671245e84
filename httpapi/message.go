package httpapi

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// appendMessageOut writes a message as the API shows it; more, which begins with a comma, goes in at the end. It is written by hand
// because it is the answer of the hot path and because the payload goes back as it came; but for tags and content types the
// other strings hold nothing that JSON would escape.
func appendMessageOut(dst []byte, m *webhook.Message, withContent bool, more ...byte) []byte {
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
	dst = append(dst, '"')
	dst = appendExtras(dst, m)
	dst = append(dst, `,"payload":`...)
	if withContent {
		dst = appendPayload(dst, m)
	} else {
		dst = append(dst, "{}"...)
	}
	return append(append(dst, more...), '}')
}

// appendExtras writes what few messages have.
func appendExtras(dst []byte, m *webhook.Message) []byte {
	for i, tag := range m.Tags {
		if i == 0 {
			dst = append(dst, `,"tags":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = strconv.AppendQuote(dst, tag)
	}
	if len(m.Tags) > 0 {
		dst = append(dst, ']')
	}
	if m.OrderingKey != "" {
		dst = appendOptional(append(dst, `,"orderingKey":`...), m.OrderingKey)
	}
	if !m.DeliverAt.IsZero() {
		dst = append(dst, `,"deliverAt":"`...)
		dst = append(m.DeliverAt.UTC().AppendFormat(dst, time.RFC3339Nano), '"')
	}
	if m.ContentType != "" {
		dst = strconv.AppendQuote(append(dst, `,"contentType":`...), m.ContentType)
	}
	return dst
}

// appendPayload writes the payload: what is no JSON object as a string within one, for the SDKs expect an object.
func appendPayload(dst []byte, m *webhook.Message) []byte {
	switch {
	case m.Expunged:
		return append(dst, `{"expired":true}`...)
	case !m.Raw || isObject(m.Payload):
		return append(dst, m.Payload...)
	default:
		dst = append(dst, `{"rawPayload":`...)
		return append(gjson.AppendJSONString(dst, string(m.Payload)), '}')
	}
}

func isObject(text []byte) bool {
	return !tooDeep(text) && gjson.ValidBytes(text) && gjson.ParseBytes(text).IsObject()
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

// messageIn is what a producer sends: a message, and perhaps the application that it is for.
type messageIn struct {
	webhook.Message
	application *webhook.Application
}

// parseMessage reads a message whose Payload is a part of text, unless it is a raw one.
func parseMessage(text []byte) (m messageIn, err error) {
	b, err := parseBody(text)
	if err != nil {
		return m, err
	}
	var period time.Duration
	var raw gjson.Result
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "eventType":
			m.EventType = b.string(name, v)
		case "eventId":
			m.EventID = b.optionalString(name, v)
		case "channels":
			m.Channels = b.strings(name, v)
		case "tags":
			m.Tags = b.strings(name, v)
		case "orderingKey":
			m.OrderingKey = b.optionalString(name, v)
		case "deliverAt":
			m.DeliverAt = b.optionalTime(name, v)
		case "payloadRetentionPeriod":
			period = time.Duration(b.between(name, v, 1, int64(webhook.MaxRetention/day))) * day
		case "payloadRetentionHours":
			m.Retention = time.Duration(b.between(name, v, 1, int64(webhook.MaxRetention/time.Hour))) * time.Hour
		case "transformationsParams":
			raw = v
		case "application":
			m.application = b.application(name, v)
		case "payload", "data":
			if !v.IsObject() {
				b.fail(name, "must be a JSON object")
				return
			}
			m.Payload = text[v.Index : v.Index+len(v.Raw)]
		}
	})
	m.Retention = cmp.Or(m.Retention, period)
	if m.EventType == "" {
		b.fail("eventType", "is missing")
	}
	b.parseRaw(raw, &m.Message)
	if m.Payload == nil && len(b.errs) == 0 {
		b.fail("payload", "is missing")
	}
	if err := b.err(); err != nil {
		return m, err
	}
	return m, m.Validate(time.Now())
}

const day = 24 * time.Hour

// parseRaw reads transformationsParams, where the SDKs put a body that goes out as it is, whatever it is, and its content type. Some
// of them put every payload there.
func (b *body) parseRaw(params gjson.Result, m *webhook.Message) {
	const field = "transformationsParams"
	if !params.Exists() || isNull(params) {
		return
	}
	if !params.IsObject() {
		b.fail(field, "must be an object")
		return
	}
	var headers map[string]string
	b.fields(field, params, func(name string, v gjson.Result) {
		switch {
		case name == "rawPayload" && !isNull(v):
			m.Payload = []byte(b.string(field+"/rawPayload", v))
			m.Raw = tooDeep(m.Payload) || !gjson.ValidBytes(m.Payload) || !gjson.ParseBytes(m.Payload).IsObject()
		case name == "headers":
			headers = b.stringMap(field+"/headers", v)
		}
	})
	for name, value := range headers {
		if strings.EqualFold(name, "content-type") {
			m.ContentType = value
		}
	}
	if m.ContentType == webhook.JSONContentType {
		m.ContentType = ""
	}
}

// application reads an object within the body.
func (b *body) application(field string, v gjson.Result) *webhook.Application {
	if isNull(v) {
		return nil
	}
	app := new(webhook.Application)
	err := parseApplication([]byte(v.Raw), app)
	var one *webhook.Error
	var many manyInvalid
	switch {
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = manyInvalid{one}
	default:
		return app
	}
	for _, fault := range many {
		b.fail(strings.TrimSuffix(field+"/"+fault.Field, "/"), fault.Detail)
	}
	return nil
}

func (s *Server) createMessage(ctx *fasthttp.RequestCtx) (answer, error) {
	withContent, err := parseBool(ctx.QueryArgs(), "with_content", true)
	if err != nil {
		return answer{}, err
	}
	app, err := s.applicationToWrite(ctx)
	if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
		return answer{}, err
	}
	unknown := err
	m, err := parseMessage(ctx.PostBody())
	if unknown != nil && m.application == nil {
		return answer{}, unknown
	}
	if err != nil {
		return answer{}, err
	}
	if unknown != nil {
		if app, err = s.inlineApplication(ctx, m.application); err != nil {
			return answer{}, err
		}
	}
	m.App = app.ID
	return s.send(ctx, &m.Message, withContent)
}

// send appends a message to the log and shows it.
func (s *Server) send(ctx *fasthttp.RequestCtx, m *webhook.Message, withContent bool) (_ answer, err error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	if m.ID, err = s.config.Writer.CreateMessage(hold, m); err != nil {
		return answer{}, err
	}
	if !repeated(ctx) {
		s.accepted.Inc()
	}
	return answer{fasthttp.StatusAccepted, rawJSON(appendMessageOut(nil, m, withContent))}, nil
}

// The types that Svix gives these faults.
const (
	codeUIDMissing  webhook.Code = "application_uid_missing"
	codeUIDMismatch webhook.Code = "application_uid_mismatch"
)

// inlineApplication makes the application that a message brings along, unless somebody else has made it meanwhile. The idempotency
// key of the request is the message's.
func (s *Server) inlineApplication(ctx *fasthttp.RequestCtx, app *webhook.Application) (*webhook.Application, error) {
	switch app.UID {
	case pathValue(ctx, "app"):
	case "":
		return nil, manyInvalid{{Code: codeUIDMissing, Field: "application/uid", Detail: "is missing: it must be the uid in the path"}}
	default:
		return nil, manyInvalid{{Code: codeUIDMismatch, Field: "application/uid", Detail: "must be the uid in the path"}}
	}
	if err := mayCreate(ctx, app); err != nil {
		return nil, err
	}
	hold, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	made, _, err := s.config.Writer.CreateApplication(hold, *app, true)
	return made, err
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
	filter, err := parseMessageFilter(args)
	if err != nil {
		return answer{}, err
	}
	l.Bytes, filter.WithoutPayload = pageBytes, !withContent
	list, next, err := s.config.Store.Messages(app.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return respondUpTo(l, list, next, messageID, func(m *webhook.Message) (messageOut, error) { return appendMessageOut(nil, m, withContent), nil })
}

func messageID(m *webhook.Message) webhook.ID { return m.ID }

// parseMessageFilter reads what lists of messages and of attempts understand.
func parseMessageFilter(args *fasthttp.Args) (wal.MessageFilter, error) {
	eventTypes, err := parseList(args, "event_types")
	return wal.MessageFilter{EventTypes: eventTypes, Channel: string(args.Peek("channel")), Tag: string(args.Peek("tag"))}, err
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

func (s *Server) expungeMessage(ctx *fasthttp.RequestCtx) (answer, error) {
	app, m, err := s.message(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.ExpungeMessage(hold, app.ID, m.ID); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}
