package httpapi

import (
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	pageBytes     = 4 << 20          // of items in a page
	pageCost      = 12 << 20         // bytes that are needed to build a page, at most
	smallResponse = 64 << 10         // bytes of a response that are not counted
	responseStall = 10 * time.Second // without progress
	responseTime  = 2 * time.Minute  // for a whole response
)

// paged lends the memory that a handler needs for a large response. It is given back when the
// client has read the response.
func paged(h handler) handler {
	return func(r *request) (*response, error) {
		rested := r.paced.rest()
		l, err := r.server.responses.lend(ownerOf(r.caller), pageCost)
		rested()
		if err != nil {
			return nil, err
		}
		resp, err := h(r)
		if err != nil {
			l.end()
			return nil, err
		}
		resp.loan = l
		return resp, nil
	}
}

// setBody sets a body for which memory was lent. The loan ends when it was sent.
func setBody(ctx *fasthttp.RequestCtx, text []byte, l *loan) {
	ctx.SetBodyStream(&lentBody{text: bytes.NewReader(text), loan: l, conn: ctx.Conn(), end: time.Now().Add(responseTime)}, len(text))
}

// lentBody is such a body. Reading it extends the deadline of writes: a pause is limited, and the
// whole.
type lentBody struct {
	text *bytes.Reader
	loan *loan
	conn net.Conn
	end  time.Time
}

var errSlowResponse = errors.New("the reader of a response is too slow")

func (b *lentBody) Read(data []byte) (int, error) {
	now := time.Now()
	if now.After(b.end) {
		return 0, errSlowResponse
	}
	if err := b.conn.SetWriteDeadline(now.Add(responseStall)); err != nil {
		return 0, err
	}
	return b.text.Read(data)
}

// Close is called when the response was sent or has failed.
func (b *lentBody) Close() error {
	b.loan.end()
	return nil
}
