package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 256 // bytes
)

var errLongKey = &webhook.Error{Code: webhook.CodeInvalid, Field: "idempotency-key",
	Detail: fmt.Sprintf("must not be longer than %d bytes", maxIdempotencyKey)}

// once makes what a request changes take effect once, however often the request is repeated with
// its idempotency key.
type once struct{ request *request }

func (r *request) once() once { return once{r} }

// key returns the idempotency key of the request, or nil. The same header from another caller is
// another key. The fingerprint covers the whole request, to detect a header that is reused for a
// different request.
func (o once) key() *wal.Once {
	r := o.request
	if r.keyKnown {
		return r.key
	}
	r.keyKnown = true
	header := r.http.Request.Header.Peek(idempotencyHeader)
	if len(header) == 0 || !r.http.IsPost() || r.caller == nil {
		return nil
	}
	parts := [][]byte{r.http.Method(), r.http.URI().PathOriginal(), r.http.QueryArgs().QueryString(), r.body()}
	if r.hasLines() { // the same body means something else
		parts = append(parts, []byte(linesType))
	}
	r.key = &wal.Once{Key: hashOf(r.caller.ID[:], r.caller.App[:], []byte(r.caller.Role), header), Fingerprint: hashOf(parts...)}
	return r.key
}

// hashOf hashes several parts with their lengths.
func hashOf(parts ...[]byte) [16]byte {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write(part)
	}
	return [16]byte(hash.Sum(nil))
}

// additionalKey returns the key of an additional change, which takes effect once on its own, or nil
// if it has none.
func (o once) additionalKey(change string) *wal.Once {
	key := o.key()
	if key == nil {
		return nil
	}
	return &wal.Once{Key: hashOf(key.Key[:], []byte(change)), Fingerprint: key.Fingerprint}
}

// contextOf returns the context of an additional change.
func (o once) contextOf(change string) context.Context {
	if key := o.additionalKey(change); key != nil {
		return key.Context(o.request.context())
	}
	return o.request.context()
}

// tookEffect reports whether another try of the request has made an additional change.
func (o once) tookEffect(change string) (bool, error) {
	key := o.additionalKey(change)
	if key == nil {
		return false, nil
	}
	kept, err := o.request.store().Kept(key, time.Now())
	return kept != nil, err
}

// answer responds with a value, and keeps it under the idempotency key of the request. It is for a
// handler that makes no change with that key itself.
func (o once) answer(value any) (*response, error) {
	if o.key() == nil {
		return ok(value), nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	kept, err := o.request.server.config.Writer.KeepAnswer(o.request.context(), text)
	if err != nil {
		return nil, err
	}
	return ok(rawJSON(kept)), nil
}

// isRepetition reports whether the last change of the request had taken effect before.
func (o once) isRepetition() bool {
	key := o.key()
	return key != nil && key.Repeated
}

// perform runs a handler. A request whose idempotency key has taken effect before gets the first
// response again, even if what it created has changed since.
func (o once) perform(h handler) (*response, error) {
	r := o.request
	if r.http.IsPost() && len(r.http.Request.Header.Peek(idempotencyHeader)) > maxIdempotencyKey {
		return nil, errLongKey
	}
	key := o.key()
	if key == nil {
		return h(r)
	}
	if kept, err := o.keptReply(key); kept != nil || err != nil {
		return respondKept(r, kept, err)
	}
	limit := r.server.kept
	if err := limit.check(r.caller, time.Now()); err != nil {
		return nil, err
	}
	resp, err := h(r)
	limit.charge(r.caller, key.Size, time.Now())
	var refused *webhook.Error
	if !errors.As(err, &refused) || refused.Code == webhook.CodeKeyReused || r.current() != nil {
		return resp, err
	}
	// The request may have failed only because it took effect before, which this node did not know.
	if kept, failed := o.keptReply(key); kept != nil || failed != nil {
		return respondKept(r, kept, failed)
	}
	return resp, err
}

// keptReply returns what is kept under the key of the request, or nil. That of a batch is only of
// its first part: its handler does each part once.
func (o once) keptReply(key *wal.Once) (*wal.Kept, error) {
	kept, err := o.request.store().Kept(key, time.Now())
	if err != nil || kept == nil || kept.Messages != nil {
		return nil, err
	}
	return kept, nil
}

// respondKept responds with a kept reply as the operation did the first time.
func respondKept(r *request, kept *wal.Kept, err error) (*response, error) {
	if err != nil {
		return nil, err
	}
	status := fasthttp.StatusOK
	if kept.Created {
		status = fasthttp.StatusCreated
	}
	switch path := r.http.URI().PathOriginal(); {
	case !kept.Message.IsZero() && bytes.HasSuffix(path, []byte("/send-example")):
		return keptExample(r, kept)
	case !kept.Message.IsZero():
		return keptMessage(r, kept.Message)
	case kept.Answer != nil:
		return ok(rawJSON(kept.Answer)), nil
	case kept.Application != nil:
		return &response{status: status, value: showApplication(kept.Application)}, nil
	case kept.Endpoint != nil && bytes.HasSuffix(path, []byte("/secret/rotate")):
		return respondRotation(r, kept.Endpoint)
	case kept.Endpoint != nil:
		return respondEndpoint(r, status, kept.Endpoint)
	case kept.EventType != nil:
		return &response{status: status, value: showEventType(kept.EventType)}, nil
	case kept.Task != nil && kept.Created:
		return accepted(showTask(kept.Task)), nil
	case kept.Task != nil:
		return &response{status: status, value: showTask(kept.Task)}, nil
	case kept.Key != nil:
		return keptKey(r, kept.Key)
	case bytes.HasSuffix(path, []byte("/resend")):
		return accepted(struct{}{}), nil
	default:
		return noContent(), nil
	}
}

// keptMessage takes the message from the body, which is the same as that of the first request.
func keptMessage(r *request, id webhook.ID) (*response, error) {
	q := r.query()
	withContent := q.bool("with_content", true)
	if q.err != nil {
		return nil, q.err
	}
	m, err := parseMessage(r.body())
	if err != nil {
		return nil, err
	}
	m.ID = id
	return accepted(rawJSON(appendMessageOut(nil, &m.Message, withContent))), nil
}

// keptExample takes the event type from the body; the example may no longer be what it was.
func keptExample(r *request, kept *wal.Kept) (*response, error) {
	name, _, err := parseExample(r.body(), "")
	if err != nil {
		return nil, err
	}
	m := &webhook.Message{ID: kept.Message, EventType: name, Payload: kept.Payload}
	return ok(rawJSON(appendMessageOut(nil, m, true))), nil
}

// keptKey derives the token of a key again.
func keptKey(r *request, key *webhook.APIKey) (*response, error) {
	secret, err := secretAgain(r, key)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(r.http.URI().PathOriginal(), []byte("/api/v1/auth/")) {
		return respondPortal(r, key.App, key.Token(secret))
	}
	out := showKey(key)
	out.Token = key.Token(secret)
	return created(out), nil
}
