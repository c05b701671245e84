package httpapi

import (
	"bytes"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"hookwheel/httpapi/pages"
	"hookwheel/httpapi/reference"
	"hookwheel/wal"
)

// pagePolicy returns what a page may do: load its own files and call this server. images are
// further origins of images, ancestors are whose pages may show it in a frame.
func pagePolicy(images []string, ancestors string) string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src " + strings.Join(append([]string{"'self'", "data:"}, images...), " ") +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; frame-ancestors " + ancestors
}

// refreshHeader tells the portal, which has no valid token then, where customers get a new link.
const refreshHeader = "Portal-Refresh-Url"

// pageServer serves the pages and the files that they load.
type pageServer struct {
	respond *responder
	live    *atomic.Pointer[live]
	store   *wal.Store
}

// getPortal serves the portal, whose paths are the page's own.
func (s *pageServer) getPortal(ctx *fasthttp.RequestCtx) {
	ancestors := "'self'"
	now := s.live.Load()
	if len(now.FrameAncestors) > 0 {
		ancestors += " " + strings.Join(now.FrameAncestors, " ")
	}
	if refresh, err := url.Parse(now.RefreshURL); err == nil && refresh.Host != "" {
		ctx.Response.Header.Set(refreshHeader, refresh.String())
	}
	s.servePage(ctx, "portal.html", pagePolicy(s.logoOrigins(ctx), ancestors))
}

// logoOrigins returns the origins of the logos in the settings, and of the one that a page asks for
// that shows the portal in a frame, as svix-react does.
func (s *pageServer) logoOrigins(ctx *fasthttp.RequestCtx) []string {
	settings, err := s.store.Settings()
	if err != nil { // the page can do without its logo
		s.respond.log.Warn("the settings of pages cannot be read", "error", err)
	}
	var origins []string
	for _, logo := range []string{settings.Logo, settings.LogoDark, string(ctx.QueryArgs().Peek("icon"))} {
		if origin := originOf(logo); origin != "" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// logoHost is a host that may be part of a policy. An address with colons is not.
var logoHost = regexp.MustCompile(`^[a-zA-Z0-9.-]{1,253}(:[0-9]{1,5})?$`)

// originOf returns the origin of an https URL, or "".
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || !logoHost.MatchString(u.Host) {
		return ""
	}
	return "https://" + u.Host
}

// getConsole serves the console, likewise.
func (s *pageServer) getConsole(ctx *fasthttp.RequestCtx) {
	s.servePage(ctx, "console.html", pagePolicy(nil, "'none'"))
}

func (s *pageServer) servePage(ctx *fasthttp.RequestCtx, name, policy string) {
	ctx.Response.Header.Set("Content-Security-Policy", policy)
	ctx.Response.Header.Set("Referrer-Policy", "no-referrer")
	s.serveAsset(ctx, name)
}

// getAsset serves a file that the pages load.
func (s *pageServer) getAsset(ctx *fasthttp.RequestCtx) {
	name, _ := ctx.UserValue("name").(string)
	if strings.HasSuffix(name, ".html") {
		name = "" // those are served with a policy only
	}
	s.serveAsset(ctx, name)
}

func (s *pageServer) serveAsset(ctx *fasthttp.RequestCtx, name string) {
	assets, err := pages.Assets()
	if err != nil {
		s.respond.writeError(ctx, err)
		return
	}
	asset := assets[name]
	if asset == nil {
		s.respond.notFound(ctx)
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

// getDocs serves the reference page.
func (s *pageServer) getDocs(ctx *fasthttp.RequestCtx) {
	page, err := reference.Page()
	if err != nil {
		s.respond.writeError(ctx, err)
		return
	}
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	ctx.Response.SetBodyRaw(page) // shared by all responses
}
