package httpapi

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"hookwheel/httpapi/pages"
)

// pagePolicy is what the pages may do: load their own files and call this server. The rest of it is
// who may show them in a frame.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors "

// getPortal serves the portal, whose paths are the page's own.
func (s *Server) getPortal(ctx *fasthttp.RequestCtx) {
	ancestors := "'self'"
	if len(s.config.FrameAncestors) > 0 {
		ancestors += " " + strings.Join(s.config.FrameAncestors, " ")
	}
	s.servePage(ctx, "portal.html", ancestors)
}

// getConsole serves the console, likewise.
func (s *Server) getConsole(ctx *fasthttp.RequestCtx) { s.servePage(ctx, "console.html", "'none'") }

func (s *Server) servePage(ctx *fasthttp.RequestCtx, name, ancestors string) {
	ctx.Response.Header.Set("Content-Security-Policy", pagePolicy+ancestors)
	ctx.Response.Header.Set("Referrer-Policy", "no-referrer")
	s.serveAsset(ctx, name)
}

// getAsset serves a file that the pages load.
func (s *Server) getAsset(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("name").(string)
	if strings.HasSuffix(name, ".html") {
		name = "" // those are served with a policy only
	}
	s.serveAsset(ctx, name)
}

func (s *Server) serveAsset(ctx *fasthttp.RequestCtx, name string) {
	assets, err := pages.Assets()
	if err != nil {
		s.writeError(ctx, err)
		return
	}
	asset := assets[name]
	if asset == nil {
		s.notFound(ctx)
		return
	}
	header := &ctx.Response.Header
	header.Set(fasthttp.HeaderCacheControl, "no-cache") // the name stays when the content changes
	header.Set(fasthttp.HeaderETag, asset.ETag)
	header.Set(fasthttp.HeaderXContentTypeOptions, "nosniff")
	header.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	if string(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch)) == asset.ETag {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	ctx.SetContentType(asset.Type)
	if bytes.Contains(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding), []byte("gzip")) {
		header.Set(fasthttp.HeaderContentEncoding, "gzip")
		ctx.Response.SetBodyRaw(asset.Gzip)
		return
	}
	ctx.Response.SetBodyRaw(asset.Text)
}
