package httpapi

import (
	"bytes"
	"slices"

	"github.com/valyala/fasthttp"
)

// What pages of other origins may send, and what they may read of a response. The request headers
// are those of the SDKs and of a stream that continues.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsHeaders = "accept, authorization, content-type, idempotency-key, if-match, last-event-id, svix-req-id, svix-retry-count, user-agent, x-request-id"
	corsExposed = "Accept-Encoding, Allow, Content-Disposition, ETag, Retry-After, WWW-Authenticate, X-Request-Id"
	corsMaxAge  = "600" // seconds that a browser keeps the response to a preflight
)

// cors lets pages of other origins use the API in a browser. It never allows credentials: a page
// sends a token itself, so no cookie or certificate of the browser's user has any effect. What
// needs no token outside the API, such as metrics, stays closed to pages.
type cors struct {
	origins []string
	any     bool
}

func newCORS(origins []string) cors {
	return cors{origins: origins, any: slices.Contains(origins, "*")}
}

// allow sets the headers of a response, whatever it will be, and reports whether the page that sent
// the request may read it.
func (c cors) allow(ctx *fasthttp.RequestCtx) bool {
	header := &ctx.Response.Header
	if len(c.origins) == 0 || !bytes.HasPrefix(ctx.Request.Header.RequestURI(), []byte("/api/v1/")) {
		return false
	}
	allowed := "*"
	if !c.any {
		header.Set(fasthttp.HeaderVary, fasthttp.HeaderOrigin) // also if this one is not allowed
		allowed = string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin))
		if !slices.Contains(c.origins, allowed) {
			return false
		}
	}
	header.Set(fasthttp.HeaderAccessControlAllowOrigin, allowed)
	header.Set(fasthttp.HeaderAccessControlExposeHeaders, corsExposed)
	return true
}

// allowUnread is allow for a request whose header may not have been read, as it is too large or
// malformed. So its origin is unknown; if only one is allowed then the response is for that one.
func (c cors) allowUnread(ctx *fasthttp.RequestCtx) {
	if !c.allow(ctx) && len(c.origins) == 1 {
		ctx.Response.Header.Set(fasthttp.HeaderAccessControlAllowOrigin, c.origins[0])
	}
}

// preflight reports whether a request asks, for a page that may, what that page may send; then it
// responds. A browser sends no token with it. The response is the same for each path, so that the
// page can read the 404 or 405 of the request that follows.
func (c cors) preflight(ctx *fasthttp.RequestCtx, allowed bool) bool {
	request := &ctx.Request.Header
	if !allowed || !ctx.IsOptions() || len(request.Peek(fasthttp.HeaderOrigin)) == 0 || len(request.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	header := &ctx.Response.Header
	header.Set(fasthttp.HeaderAccessControlAllowMethods, corsMethods)
	header.Set(fasthttp.HeaderAccessControlAllowHeaders, corsHeaders)
	header.Set(fasthttp.HeaderAccessControlMaxAge, corsMaxAge)
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	return true
}
