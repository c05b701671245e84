package httpapi

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

// appendMessageOut appends a message in the format of responses; more, which begins with a comma,
// are additional fields. It does not use encoding/json, because this is the hot path and because
// the payload is returned byte for byte. Apart from tags and content types, no string contains
// anything that JSON escapes.
func appendMessageOut(dst []byte, m *webhook.Message, withContent bool, more ...byte) []byte {
	size := 320 + len(more)
	if withContent {
		size += len(m.Payload)
	}
	dst = slices.Grow(dst, size)
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

// appendExtras appends the fields that few messages have.
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

// appendPayload appends the payload. The SDKs expect a JSON object, so anything else becomes a
// string within one.
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

// messageIn is a message that a producer sends, and perhaps its application.
type messageIn struct {
	webhook.Message
	application *webhook.Application
}

// parseMessage reads a message. Its Payload, unless it is raw, and its strings are parts of text.
func parseMessage(text []byte) (m messageIn, err error) {
	if len(text) == 0 {
		return m, errEmptyBody
	}
	found, err := checkJSON("the body", text)
	if err != nil {
		return m, err
	}
	return messageInPlace("the body", text, found)
}

// messageInPlace is parseMessage for text that is known to be JSON, with these fields if it is an
// object. What is read from messages is most of what this server reads, and a copy of it costs
// more than to read it.
func messageInPlace(what string, text []byte, found fields) (m messageIn, err error) {
	b, err := objectIn(what, unsafe.String(unsafe.SliceData(text), len(text)), found)
	if err != nil {
		return m, err
	}
	return b.message(text)
}

// message reads the message that text, from which b was parsed, consists of.
func (b *body) message(text []byte) (m messageIn, err error) {
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

// parseRaw reads transformationsParams, where the SDKs put a body that is sent unchanged, and its
// content type. Some of them put every payload there.
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
	b.eachIn(field, params, func(name string, v gjson.Result) {
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

// application reads an application within the body.
func (b *body) application(field string, v gjson.Result) *webhook.Application {
	if isNull(v) {
		return nil
	}
	app := new(webhook.Application)
	faults := faultsIn(parseApplication([]byte(v.Raw), app))
	if faults == nil {
		return app
	}
	for _, fault := range faults {
		b.fail(strings.TrimSuffix(field+"/"+fault.Field, "/"), fault.Detail)
	}
	return nil
}

func createMessage(r *request) (*response, error) {
	q := r.query()
	withContent := q.bool("with_content", true)
	if q.err != nil {
		return nil, q.err
	}
	app, err := r.named().applicationByName(r.path("app"))
	if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
		return nil, err
	}
	unknown := err
	m, err := parseMessage(r.body())
	if unknown != nil && m.application == nil {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	if unknown != nil {
		if app, err = inlineApplication(r, m.application); err != nil {
			return nil, err
		}
	}
	m.App = app.ID
	if err := send(r, &m.Message); err != nil {
		return nil, err
	}
	return accepted(newMessageBody(&m.Message, withContent)), nil
}

// send appends a message to the log and sets its ID.
func send(r *request, m *webhook.Message) (err error) {
	trace := r.trace(m.App)
	var begun time.Time
	m.Trace, begun = trace.commit()
	m.ID, err = r.server.config.Writer.CreateMessage(r.context(), m)
	if trace.committed(begun, 1, m.ID, err); err != nil {
		return err
	}
	if !r.once().isRepetition() {
		r.server.accepted.Inc()
	}
	return nil
}

// Codes of the Svix API.
const (
	codeUIDMissing  webhook.Code = "application_uid_missing"
	codeUIDMismatch webhook.Code = "application_uid_mismatch"
)

// inlineApplication creates the application that comes with a message, unless it exists by now. It
// does not use the idempotency key, which is that of the message.
func inlineApplication(r *request, app *webhook.Application) (*webhook.Application, error) {
	switch app.UID {
	case r.path("app"):
	case "":
		return nil, manyInvalid{{Code: codeUIDMissing, Field: "application/uid", Detail: "is missing: it must be the uid in the path"}}
	default:
		return nil, manyInvalid{{Code: codeUIDMismatch, Field: "application/uid", Detail: "must be the uid in the path"}}
	}
	if err := r.checkCreate(app); err != nil {
		return nil, err
	}
	ctx, cancel := leaderContext()
	defer cancel()
	made, _, err := r.writer().CreateApplication(ctx, *app, true)
	return made, err
}

func getMessage(r *request) (*response, error) {
	q := r.query()
	withContent := q.bool("with_content", true)
	if q.err != nil {
		return nil, q.err
	}
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	return ok(rawJSON(appendMessageOut(nil, m, withContent))), nil
}

func expungeMessage(r *request) (*response, error) {
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	if err := r.writer().ExpungeMessage(r.context(), m.App, m.ID); err != nil {
		return nil, err
	}
	return noContent(), nil
}
