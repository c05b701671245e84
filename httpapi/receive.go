package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	maxHeader = 16 << 10 // bytes of a request's first line and header
	maxURI    = 8 << 10  // bytes

	maxParameters = 100 // of a query

	prefetched = 8 << 10  // bytes of a body that fasthttp reads before it calls a handler
	bodyStep   = 32 << 10 // bytes that a larger body begins with
)

// These codes are for what is wrong with the HTTP of a request.
const (
	codeEncoding  webhook.Code = "unsupported_encoding"
	codeVersion   webhook.Code = "http_version_not_supported"
	codeHeader    webhook.Code = "header_too_large"
	codeURI       webhook.Code = "uri_too_long"
	codeTimeout   webhook.Code = "timeout"
	codeMalformed webhook.Code = "generic_error"
)

// cutHeader marks a request whose body is not to be read, with the status that it is refused with; empty: the handler finds
// out. No client can send a name like that.
const cutHeader = "\x00cut"

// received is called with the header of a request, before anything of its body is read. If the header is reason enough to
// refuse the request then its body, and the 100 Continue that it may wait for, are called off.
func (s *Server) received(header *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
	if length := header.ContentLength(); length == 0 || length == -2 { // there is no body
		return config
	}
	status, refused := s.precheck(header)
	if refused {
		header.SetContentLength(0)
		header.Del(fasthttp.HeaderExpect)
		header.Set(cutHeader, strconv.Itoa(status))
	}
	return config
}

// precheck reports whether a request with a body is refused by its header alone, and perhaps with which status.
func (s *Server) precheck(header *fasthttp.RequestHeader) (status int, refused bool) {
	if !validVersion(header) {
		return 0, true
	}
	if path, _, _ := bytes.Cut(header.RequestURI(), []byte("?")); string(path) == "/api/v1/health/ping" {
		return 0, false // takes anything from anybody, and keeps nothing of it
	}
	if _, err := s.authenticate(shownToken(header)); err != nil {
		return 0, true
	}
	if encoding := header.Peek(fasthttp.HeaderContentEncoding); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return fasthttp.StatusUnsupportedMediaType, true
	}
	if header.ContentLength() > s.config.MaxBody {
		return fasthttp.StatusRequestEntityTooLarge, true
	}
	return 0, false
}

// validVersion reports whether a request is HTTP/1. Any minor version is served as HTTP/1.1 is.
func validVersion(header *fasthttp.RequestHeader) bool {
	return bytes.HasPrefix(header.Protocol(), []byte("HTTP/1."))
}

// serve answers a request.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	switch {
	case !validVersion(&ctx.Request.Header):
		s.writeError(ctx, &webhook.Error{Code: codeVersion, Detail: "This server speaks HTTP/1.1."})
		ctx.SetConnectionClose()
	case len(ctx.Request.Header.RequestURI()) > maxURI:
		s.writeError(ctx, errURI)
	case ctx.QueryArgs().Len() > maxParameters:
		s.writeError(ctx, errParameters)
	case !route(ctx.URI()):
		s.notFound(ctx)
	default:
		s.router(ctx)
	}
	if len(ctx.Request.Header.Peek(cutHeader)) > 0 && !ctx.Response.ConnectionClose() {
		drain(ctx.Conn())
		ctx.SetConnectionClose()
	}
	s.part(ctx)
}

var (
	errURI        = &webhook.Error{Code: codeURI, Detail: fmt.Sprintf("The URI of the request has more than %d bytes, which is the limit.", maxURI)}
	errParameters = &webhook.Error{Code: codeURI, Detail: fmt.Sprintf("The query has more than %d parameters, which is the limit.", maxParameters)}
	errEncoding   = &webhook.Error{Code: codeEncoding, Detail: "The body is compressed. Send it as it is, without Content-Encoding."}
	errCutShort   = &webhook.Error{Code: codeMalformed, Detail: "The body ended before the length that was announced."}
)

func (s *Server) errTooLarge() error {
	return &webhook.Error{Code: webhook.CodeTooLarge, Detail: fmt.Sprintf(
		"The body is larger than the %d bytes that this server takes; api.max_body changes that.", s.config.MaxBody)}
}

// receive reads the body of a request whose caller is known. Memory is taken as bytes arrive, whatever length was announced.
// The caller must end the loan, which may be nil.
func (s *Server) receive(ctx *fasthttp.RequestCtx, who owner) (*loan, error) {
	switch string(ctx.Request.Header.Peek(cutHeader)) {
	case strconv.Itoa(fasthttp.StatusUnsupportedMediaType):
		return nil, errEncoding
	case strconv.Itoa(fasthttp.StatusRequestEntityTooLarge):
		return nil, s.errTooLarge()
	}
	length := ctx.Request.Header.ContentLength()
	if stream := ctx.RequestBodyStream(); stream == nil || length >= 0 && length <= prefetched {
		return nil, nil // it is here
	}
	l, err := s.bodies.lend(who, bodyStep)
	if err == nil {
		var body []byte
		if body, err = s.readBody(ctx, l, length); err == nil {
			ctx.Request.SetBodyRaw(body)
			return l, nil
		}
	}
	l.end()
	return nil, err
}

// readBody reads a body of that length; -1: in chunks.
func (s *Server) readBody(ctx *fasthttp.RequestCtx, l *loan, length int) ([]byte, error) {
	stream, conn := ctx.RequestBodyStream(), connOf(ctx.Conn())
	start := conn.seen
	defer func() { conn.bound = 0 }()
	body := make([]byte, 0, bodyStep)
	for {
		if len(body) == cap(body) {
			size := min(2*cap(body), s.config.MaxBody+1)
			if err := l.grow(int64(size - cap(body))); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, size), body...)
		}
		if length < 0 { // what is sent between the chunks is bounded as well
			conn.bound = start + chunkSlack + chunkFactor*int64(len(body)) + int64(cap(body))
		}
		n, err := stream.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > s.config.MaxBody:
			return nil, s.errTooLarge()
		case err == io.EOF && length >= 0 && len(body) < length:
			return nil, errCutShort
		case err == io.EOF:
			return body, nil
		case err != nil && conn.bound > 0 && conn.seen >= conn.bound:
			return nil, errTooMuch
		case err != nil:
			return nil, err
		}
	}
}

const (
	chunkSlack  = 64 << 10 // bytes beside the body that a chunked request may have
	chunkFactor = 8        // bytes for each byte of the body that it may have: a chunk of one byte takes six
)

// refuse answers what could not be read to its end.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	drain(ctx.Conn())
	s.writeError(ctx, explainUnread(err))
	ctx.SetConnectionClose()
}

// explainUnread says why a request could not be read. It repeats nothing of it.
func explainUnread(err error) error {
	var timeout net.Error
	var small *fasthttp.ErrSmallBuffer
	var known *webhook.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &small):
		return &webhook.Error{Code: codeHeader, Detail: fmt.Sprintf(
			"The URI and the header of the request have more than %d bytes, which is the limit.", maxHeader)}
	case errors.Is(err, errTooMuch):
		return &webhook.Error{Code: codeMalformed, Detail: "There is too much between the chunks of the body."}
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, fasthttp.ErrTimeout):
		return &webhook.Error{Code: codeTimeout, Detail: "The request did not arrive in time."}
	default:
		return &webhook.Error{Code: codeMalformed, Detail: "The request could not be read as HTTP."}
	}
}

const (
	drainSize  = 4 << 20               // bytes
	drainPause = 50 * time.Millisecond // without any
)

// drain reads what a client still sends that is to be refused. If the connection were closed before, the client would hear
// of a reset rather than of the response.
func drain(conn net.Conn) {
	end := time.Now().Add(time.Second)
	buffer := make([]byte, 4<<10)
	for left := drainSize; left > 0 && time.Now().Before(end); {
		if conn.SetReadDeadline(time.Now().Add(drainPause)) != nil {
			return
		}
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		left -= n
	}
}
