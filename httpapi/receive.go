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
	maxHeader = 16 << 10 // bytes of the first line and the header of a request
	maxURI    = 8 << 10  // bytes

	maxParameters = 100 // of a query

	prefetched = 8 << 10  // bytes of a body that fasthttp reads before it calls a handler
	bodyStep   = 32 << 10 // bytes of the first buffer of a larger body
)

// Codes for faults of HTTP.
const (
	codeEncoding  webhook.Code = "unsupported_encoding"
	codeVersion   webhook.Code = "http_version_not_supported"
	codeHeader    webhook.Code = "header_too_large"
	codeURI       webhook.Code = "uri_too_long"
	codeTimeout   webhook.Code = "timeout"
	codeMalformed webhook.Code = "generic_error"
)

// cutHeader marks a request whose body must not be read, with the status of the refusal; if that is
// empty then the handler will refuse it. No client can send such a name.
const cutHeader = "\x00cut"

// intake reads the bodies of requests whose headers are valid, within limits.
type intake struct {
	maxBody  int
	maxBatch int // of a batch of messages
	auth     *authenticator
	bodies   *shares
	closing  <-chan struct{} // closed when the server is shutting down
}

func newIntake(config *Config, auth *authenticator, closing <-chan struct{}) *intake {
	return &intake{closing: closing, maxBody: config.MaxBody, maxBatch: max(config.MaxBatch, config.MaxBody), auth: auth, bodies: newShares("request bodies", maxBodies)}
}

// limit returns how large the body of a request may be, and the setting that says so.
func (in *intake) limit(header *fasthttp.RequestHeader) (size int, setting string) {
	if isBatch(header) {
		return in.maxBatch, "api.max_batch"
	}
	return in.maxBody, "api.max_body"
}

// isBatch reports whether a request is for POST /api/v1/app/{app}/msg/batch.
func isBatch(header *fasthttp.RequestHeader) bool {
	path, _, _ := bytes.Cut(header.RequestURI(), []byte("?"))
	rest, below := bytes.CutPrefix(path, []byte("/api/v1/app/"))
	app, is := bytes.CutSuffix(rest, []byte("/msg/batch"))
	return header.IsPost() && below && is && !bytes.Contains(app, []byte("/"))
}

// received is called with the header of a request before its body is read. If the request is
// refused because of its header then neither the body nor the 100 Continue before it are exchanged.
func (in *intake) received(header *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
	if length := header.ContentLength(); length == 0 || length == -2 { // no body
		return config
	}
	status, refused := in.precheck(header)
	if refused {
		header.SetContentLength(0)
		header.Del(fasthttp.HeaderExpect)
		header.Set(cutHeader, strconv.Itoa(status))
	}
	config.MaxRequestBodySize, _ = in.limit(header)
	return config
}

// precheck reports whether a request with a body is refused because of its header, and the status
// if it is known.
func (in *intake) precheck(header *fasthttp.RequestHeader) (status int, refused bool) {
	if !validVersion(header) || errTwice(header) != nil {
		return 0, true
	}
	if path, _, _ := bytes.Cut(header.RequestURI(), []byte("?")); string(path) == "/api/v1/health/ping" {
		return 0, false // accepts anything from anyone, and drops it
	}
	if _, err := in.auth.authenticate(tokenOf(header)); err != nil {
		return 0, true
	}
	for _, encoding := range header.PeekAll(fasthttp.HeaderContentEncoding) { // several count as one list
		if len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
			return fasthttp.StatusUnsupportedMediaType, true
		}
	}
	if limit, _ := in.limit(header); header.ContentLength() > limit {
		return fasthttp.StatusRequestEntityTooLarge, true
	}
	return 0, false
}

// errTwice returns an error if a request has two values of a header of which one counts, nil
// otherwise. A proxy or a program may have looked at the other one.
func errTwice(header *fasthttp.RequestHeader) error {
	for _, name := range []string{fasthttp.HeaderAuthorization, idempotencyHeader} {
		if len(header.PeekAll(name)) > 1 {
			return &webhook.Error{Code: codeMalformed, Detail: "The request has more than one " + name + " header."}
		}
	}
	return nil
}

// validVersion reports whether a request is HTTP/1. Any minor version is served as HTTP/1.1 is.
func validVersion(header *fasthttp.RequestHeader) bool {
	return bytes.HasPrefix(header.Protocol(), []byte("HTTP/1."))
}

var (
	errURI        = &webhook.Error{Code: codeURI, Detail: fmt.Sprintf("The URI of the request has more than %d bytes, which is the limit.", maxURI)}
	errParameters = &webhook.Error{Code: codeURI, Detail: fmt.Sprintf("The query has more than %d parameters, which is the limit.", maxParameters)}
	errEncoding   = &webhook.Error{Code: codeEncoding, Detail: "The body is compressed. Send it as it is, without Content-Encoding."}
	errCutShort   = &webhook.Error{Code: codeMalformed, Detail: "The body ended before the length that was announced."}
)

func (in *intake) errTooLarge(header *fasthttp.RequestHeader) error {
	limit, setting := in.limit(header)
	return &webhook.Error{Code: webhook.CodeTooLarge, Detail: fmt.Sprintf(
		"The body is larger than the %d bytes that this server takes; %s changes that.", limit, setting)}
}

// receive reads the body of a request whose caller is known. Memory is borrowed as bytes arrive,
// whatever the announced length. The loan must be ended, unless it is nil.
func (in *intake) receive(ctx *fasthttp.RequestCtx, caller owner) (*loan, error) {
	switch string(ctx.Request.Header.Peek(cutHeader)) {
	case strconv.Itoa(fasthttp.StatusUnsupportedMediaType):
		return nil, errEncoding
	case strconv.Itoa(fasthttp.StatusRequestEntityTooLarge):
		return nil, in.errTooLarge(&ctx.Request.Header)
	}
	length := ctx.Request.Header.ContentLength()
	if stream := ctx.RequestBodyStream(); stream == nil || length >= 0 && length <= prefetched {
		return nil, nil // already read
	}
	l, err := in.bodies.lend(caller, bodyStep)
	if err == nil {
		var body []byte
		if body, err = in.readBody(ctx, l, length); err == nil {
			ctx.Request.SetBodyRaw(body)
			return l, nil
		}
	}
	l.end()
	return nil, err
}

// readBody reads a body of that length, or in chunks if it is -1.
func (in *intake) readBody(ctx *fasthttp.RequestCtx, l *loan, length int) ([]byte, error) {
	stream, conn := ctx.RequestBodyStream(), connOf(ctx.Conn())
	start := conn.seen
	limit, _ := in.limit(&ctx.Request.Header)
	defer func() { conn.bound = 0 }()
	body := make([]byte, 0, bodyStep)
	for {
		if len(body) == cap(body) {
			size := min(2*cap(body), limit+1)
			if length <= 4*len(body) { // a large part of what was announced has come
				size = min(max(size, length+1), limit+1)
			}
			if err := l.grow(int64(size - cap(body))); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, size), body...)
		}
		if length < 0 { // also limits what is sent between the chunks
			conn.bound = start + chunkSlack + chunkFactor*int64(len(body)) + int64(cap(body))
		}
		n, err := stream.Read(body[len(body):min(cap(body), len(body)+longRead)])
		if body = body[:len(body)+n]; n > 0 && len(body) > longBody {
			conn.sleep(conn.all.long.take(n, time.Now()), in.closing)
		}
		switch {
		case len(body) > limit:
			return nil, in.errTooLarge(&ctx.Request.Header)
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
	chunkSlack  = 64 << 10 // bytes that a chunked request may have in addition to the body
	chunkFactor = 8        // bytes per byte of the body: a chunk of one byte takes six
)

// explainUnread says why a request could not be read, without repeating any of it.
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
