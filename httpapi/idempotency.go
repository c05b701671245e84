package httpapi

import (
	"context"
	"crypto/sha256"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
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

// onceOf is the idempotency key of a request, the same in each call; nil: it has none. As with Svix the same word means
// another key to another caller or in another path or query, and bodies are not compared.
func onceOf(ctx *fasthttp.RequestCtx) *wal.Once {
	if once, seen := ctx.UserValue(onceValue).(*wal.Once); seen {
		return once
	}
	word := ctx.Request.Header.Peek(idempotencyHeader)
	if len(word) == 0 || !ctx.IsPost() {
		return nil
	}
	who := caller(ctx)
	text := make([]byte, 0, 256)
	text = append(append(text, who.ID[:]...), who.App[:]...)
	text = append(append(text, who.Role...), 0)
	text = append(append(text, ctx.URI().PathOriginal()...), 0)
	text = append(append(text, ctx.QueryArgs().QueryString()...), 0)
	sum := sha256.Sum256(append(text, word...))
	once := &wal.Once{Key: [16]byte(sum[:])}
	ctx.SetUserValue(onceValue, once)
	return once
}

// repeated tells whether the last command of the request had taken effect before.
func repeated(ctx *fasthttp.RequestCtx) bool {
	once := onceOf(ctx)
	return once != nil && once.Repeated
}
