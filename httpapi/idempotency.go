package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const idempotencyHeader = "Idempotency-Key"

// hold bounds the work on a request that changes something: a cluster without a leader may find one within that time. What
// is proposed under it takes effect once if the request is a POST with an idempotency key.
func (s *Server) hold(ctx *fasthttp.RequestCtx) (context.Context, context.CancelFunc) {
	hold, cancel := context.WithTimeout(context.Background(), holdTimeout)
	if once := onceOf(ctx); once != nil {
		hold = once.Context(hold)
	}
	return hold, cancel
}

const onceValue = "once"

// onceOf is the idempotency key of a request, the same in each call; nil: it has none. The same word
// is another key to another caller. What the request asks for is a part of the fingerprint, so that
// a word that comes with another request is noticed.
func onceOf(ctx *fasthttp.RequestCtx) *wal.Once {
	if once, seen := ctx.UserValue(onceValue).(*wal.Once); seen {
		return once
	}
	word := ctx.Request.Header.Peek(idempotencyHeader)
	who, known := ctx.UserValue(callerValue).(*webhook.APIKey)
	if len(word) == 0 || !ctx.IsPost() || !known {
		return nil
	}
	once := &wal.Once{Key: hashOf(who.ID[:], who.App[:], []byte(who.Role), word),
		Fingerprint: hashOf(ctx.Method(), ctx.URI().PathOriginal(), ctx.QueryArgs().QueryString(), ctx.PostBody())}
	ctx.SetUserValue(onceValue, once)
	return once
}

// hashOf is a hash of some parts that tells where each ends.
func hashOf(parts ...[]byte) [16]byte {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		hash.Write(part)
	}
	return [16]byte(hash.Sum(nil))
}

// partOf is hold for a further command of the same request, which takes effect once by itself.
func partOf(ctx *fasthttp.RequestCtx, hold context.Context, name string) context.Context {
	once := onceOf(ctx)
	if once == nil {
		return hold
	}
	part := &wal.Once{Key: hashOf(once.Key[:], []byte(name)), Fingerprint: once.Fingerprint}
	return part.Context(hold)
}

// repeated reports whether the last command of the request had taken effect before.
func repeated(ctx *fasthttp.RequestCtx) bool {
	once := onceOf(ctx)
	return once != nil && once.Repeated
}

// answerOnce answers a request. One with an idempotency key that has taken effect gets the answer
// that is kept, whatever has become of the thing since.
func (s *Server) answerOnce(ctx *fasthttp.RequestCtx, h handler) (answer, error) {
	once := onceOf(ctx)
	if once == nil {
		return h(ctx)
	}
	if kept, err := s.config.Store.Kept(once, time.Now()); kept != nil || err != nil {
		return s.answerKept(ctx, kept, err)
	}
	who := caller(ctx)
	if !s.kept.room(who, time.Now()) {
		return answer{}, errKeptFull
	}
	a, err := h(ctx)
	s.kept.charge(who, once.Size, time.Now())
	var refused *webhook.Error
	if !errors.As(err, &refused) || refused.Code == webhook.CodeKeyReused || s.current() != nil {
		return a, err
	}
	// What it needs may be gone by now, and this node had not heard that it took effect before that.
	if kept, failed := s.config.Store.Kept(once, time.Now()); kept != nil || failed != nil {
		return s.answerKept(ctx, kept, failed)
	}
	return a, err
}

// keptBytes is how many bytes of responses the tokens of an application may have kept at once, and
// then again in each window, on this node.
const keptBytes = 16 << 20

// keptResponses limits what the tokens of an application may have kept. A short request may change
// a large thing, whose response is kept for hours.
type keptResponses struct{ buckets }

func newKeptResponses() *keptResponses {
	return &keptResponses{newBuckets(keptBytes/wal.IdempotencyWindow.Minutes(), keptBytes)}
}

var errKeptFull = &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf(
	"The responses that are kept under this application's idempotency keys take the %d MiB that they may take in %.0f hours. "+
		"Send requests without Idempotency-Key, or make fewer of them.", keptBytes>>20, wal.IdempotencyWindow.Hours())}

// room reports whether a response may be kept. Operators are not limited.
func (k *keptResponses) room(who *webhook.APIKey, now time.Time) bool {
	return who.Role != webhook.RoleApplication || k.take(who.App, 1, 0, now)
}

// charge counts a response that was kept.
func (k *keptResponses) charge(who *webhook.APIKey, size int, now time.Time) {
	if who.Role == webhook.RoleApplication {
		k.take(who.App, math.Inf(-1), float64(size), now)
	}
}

// answerKept shows a kept reply as the operation has shown it the first time.
func (s *Server) answerKept(ctx *fasthttp.RequestCtx, kept *wal.Kept, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	made := fasthttp.StatusOK
	if kept.Created {
		made = fasthttp.StatusCreated
	}
	switch path := ctx.URI().PathOriginal(); {
	case !kept.Message.IsZero() && bytes.HasSuffix(path, []byte("/send-example")):
		return s.keptExample(ctx, kept.Message)
	case !kept.Message.IsZero():
		return keptMessage(ctx, kept.Message)
	case kept.Application != nil:
		return answer{made, showApplication(kept.Application)}, nil
	case kept.Endpoint != nil && bytes.HasSuffix(path, []byte("/secret/rotate")):
		return s.showSecret(ctx, kept.Endpoint)
	case kept.Endpoint != nil:
		return s.respondEndpoint(ctx, made, kept.Endpoint)
	case kept.EventType != nil:
		return answer{made, showEventType(kept.EventType)}, nil
	case kept.Task != nil && kept.Created:
		return answer{fasthttp.StatusAccepted, showTask(kept.Task)}, nil
	case kept.Task != nil:
		return answer{made, showTask(kept.Task)}, nil
	case kept.Key != nil:
		return s.keptKey(ctx, kept.Key)
	case bytes.HasSuffix(path, []byte("/resend")):
		return answer{fasthttp.StatusAccepted, struct{}{}}, nil
	default:
		return answer{status: fasthttp.StatusNoContent}, nil
	}
}

// keptMessage shows a message from the body of the request, which is that of the first one.
func keptMessage(ctx *fasthttp.RequestCtx, id webhook.ID) (answer, error) {
	withContent, err := parseBool(ctx.QueryArgs(), "with_content", true)
	if err != nil {
		return answer{}, err
	}
	m, err := parseMessage(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	m.ID = id
	return answer{fasthttp.StatusAccepted, rawJSON(appendMessageOut(nil, &m.Message, withContent))}, nil
}

// keptExample shows an example that was sent, without its payload if the event type no longer has it.
func (s *Server) keptExample(ctx *fasthttp.RequestCtx, id webhook.ID) (answer, error) {
	name, index, err := parseExample(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	m := &webhook.Message{ID: id, EventType: name}
	if m.Payload, err = s.example(ctx, name, index); err != nil {
		m.Expunged = true
	}
	return answer{fasthttp.StatusOK, rawJSON(appendMessageOut(nil, m, true))}, nil
}

// keptKey makes the token of a key again.
func (s *Server) keptKey(ctx *fasthttp.RequestCtx, key *webhook.APIKey) (answer, error) {
	secret, err := s.newSecret(ctx)
	if err != nil {
		return answer{}, err
	}
	if !bytes.Equal(webhook.HashToken(secret), key.Hash) {
		return answer{}, errShown
	}
	if bytes.HasPrefix(ctx.URI().PathOriginal(), []byte("/api/v1/auth/")) {
		return s.showPortal(ctx, key.Token(secret)), nil
	}
	out := showKey(key)
	out.Token = key.Token(secret)
	return answer{fasthttp.StatusCreated, out}, nil
}
