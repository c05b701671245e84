package httpapi

import (
	"encoding/json"
	"slices"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// sealHeaders gives an endpoint its own headers, for they may hold secrets.
func (s *Server) sealHeaders(e *webhook.Endpoint, headers webhook.Headers) error {
	if len(headers) == 0 {
		e.Headers = nil
		return nil
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return err
	}
	e.Headers = s.seal(text)
	return nil
}

func (s *Server) openHeaders(e *webhook.Endpoint) (headers webhook.Headers, err error) {
	headers = make(webhook.Headers)
	if len(e.Headers) == 0 {
		return headers, nil
	}
	text, err := s.config.Keyring.Open(e.Headers)
	if err != nil {
		return nil, err
	}
	return headers, json.Unmarshal(text, &headers)
}

// getHeaders withholds the values that are secrets, and names them. To readers it shows only the
// values of well-known harmless headers.
func (s *Server) getHeaders(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	headers, err := s.openHeaders(endpoint)
	if err != nil {
		return answer{}, err
	}
	sensitive := []string{}
	reader := !toChangeOwn.include(caller(ctx))
	for name := range headers {
		if webhook.SensitiveHeader(name) || reader && !webhook.HarmlessHeader(name) {
			sensitive = append(sensitive, name)
			delete(headers, name)
		}
	}
	slices.Sort(sensitive)
	return answer{fasthttp.StatusOK, struct {
		Headers   webhook.Headers `json:"headers"`
		Sensitive []string        `json:"sensitive"`
	}{headers, sensitive}}, nil
}

// putHeaders replaces all.
func (s *Server) putHeaders(ctx *fasthttp.RequestCtx) (answer, error) {
	set, _, err := parseHeaders(ctx.PostBody(), false)
	if err != nil {
		return answer{}, err
	}
	return s.editEndpoint(ctx, func(e *webhook.Endpoint) error { return s.sealHeaders(e, set) })
}

// patchHeaders sets some, and deletes some.
func (s *Server) patchHeaders(ctx *fasthttp.RequestCtx) (answer, error) {
	set, gone, err := parseHeaders(ctx.PostBody(), true)
	if err != nil {
		return answer{}, err
	}
	return s.editEndpoint(ctx, func(e *webhook.Endpoint) error {
		headers, err := s.openHeaders(e)
		if err != nil {
			return err
		}
		for _, name := range gone {
			headers.Delete(name)
		}
		for name, value := range set {
			headers.Delete(name) // in another case
			headers[name] = value
		}
		if err := headers.Validate(); err != nil {
			return err
		}
		return s.sealHeaders(e, headers)
	})
}

// parseHeaders reads headers and, for a change, deleteHeaders; there a header that is null is deleted too.
func parseHeaders(text []byte, change bool) (set webhook.Headers, gone []string, err error) {
	b, err := parseBody(text)
	if err != nil {
		return nil, nil, err
	}
	set = make(webhook.Headers)
	given := false
	b.each(func(name string, v gjson.Result) {
		switch {
		case name == "headers" && v.IsObject():
			given = true
			b.items(name, v, func(header string, value gjson.Result) {
				if change && isNull(value) {
					gone = append(gone, header)
				} else {
					set[header] = b.string("headers/"+header, value)
				}
			})
		case name == "headers":
			b.fail(name, "must be an object of strings")
		case name == "deleteHeaders" && change:
			given = true
			gone = append(gone, b.strings(name, v)...)
		}
	})
	if !given && len(b.errs) == 0 {
		b.fail("headers", "is missing")
	}
	if err := b.err(); err != nil {
		return nil, nil, err
	}
	return set, gone, set.Validate()
}
