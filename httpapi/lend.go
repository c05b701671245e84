package httpapi

import (
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"
)

const (
	pageBytes   = 4 << 20  // of items, after which a page ends
	pageCost    = 12 << 20 // bytes that making a page takes, at most
	smallAnswer = 64 << 10 // bytes of a response that nobody counts
	metricsCost = 1 << 20
	answerStall = 10 * time.Second // for a reader that takes nothing
	answerTime  = 2 * time.Minute  // for a whole response
)

const loanValue = "loan"

// paged is a handler whose response may be large. It borrows memory for it, which is given back when the client has read it.
func (s *Server) paged(h handler) handler {
	return func(ctx *fasthttp.RequestCtx) (answer, error) {
		l, err := s.answers.lend(ownerOf(caller(ctx)), pageCost)
		if err != nil {
			return answer{}, err
		}
		a, err := h(ctx)
		if err != nil {
			l.end()
			return a, err
		}
		ctx.SetUserValue(loanValue, l)
		return a, nil
	}
}

// endLoan ends the loan of a request, unless its response does that.
func endLoan(ctx *fasthttp.RequestCtx) {
	if l, lent := ctx.UserValue(loanValue).(*loan); lent {
		l.end()
	}
}

// setBody has a response sent that memory was lent for. The loan ends with it.
func setBody(ctx *fasthttp.RequestCtx, text []byte, l *loan) {
	ctx.SetBodyStream(&lentBody{text: bytes.NewReader(text), loan: l, conn: ctx.Conn(), end: time.Now().Add(answerTime)}, len(text))
}

// lentBody is the body of a response. It moves the time limit of writing it: what is limited is a pause, and the whole.
type lentBody struct {
	text *bytes.Reader
	loan *loan
	conn net.Conn
	end  time.Time
}

var errSlowAnswer = errors.New("the reader of a response is too slow")

func (b *lentBody) Read(data []byte) (int, error) {
	now := time.Now()
	if now.After(b.end) {
		return 0, errSlowAnswer
	}
	if err := b.conn.SetWriteDeadline(now.Add(answerStall)); err != nil {
		return 0, err
	}
	return b.text.Read(data)
}

// Close is called when the response was sent, or cannot be.
func (b *lentBody) Close() error {
	b.loan.end()
	return nil
}

// getMetrics needs no token, so what it shows is about this node, and has no customer's name in it.
func (s *Server) getMetrics(ctx *fasthttp.RequestCtx) {
	l, err := s.answers.lend(stranger, metricsCost)
	if err != nil {
		s.writeError(ctx, err)
		return
	}
	families, err := s.config.Metrics.Gather()
	var text bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	encoder := expfmt.NewEncoder(&text, format)
	for _, family := range families {
		err = errors.Join(err, encoder.Encode(family))
	}
	if err != nil {
		l.end()
		s.writeError(ctx, err)
		return
	}
	ctx.SetContentType(string(format))
	setBody(ctx, text.Bytes(), l)
}
