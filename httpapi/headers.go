package httpapi

import (
	"slices"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

// getHeaders omits the values that may be secrets, and lists their names. To readers it shows only
// the values of well-known harmless headers.
func getHeaders(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	headers, err := r.server.sealer.openHeaders(endpoint)
	if err != nil {
		return nil, err
	}
	sensitive := []string{}
	reader := !mayChangeOwn.include(r.caller)
	for name := range headers {
		if webhook.SensitiveHeader(name) || reader && !webhook.HarmlessHeader(name) {
			sensitive = append(sensitive, name)
			delete(headers, name)
		}
	}
	slices.Sort(sensitive)
	return ok(struct {
		Headers   webhook.Headers `json:"headers"`
		Sensitive []string        `json:"sensitive"`
	}{headers, sensitive}), nil
}

// putHeaders replaces all headers.
func putHeaders(r *request) (*response, error) {
	set, _, err := parseHeaders(r.body(), false)
	if err != nil {
		return nil, err
	}
	return respondUpdated(r, func(e *webhook.Endpoint) error { return r.server.sealer.sealHeaders(e, set) })
}

// patchHeaders sets some headers and deletes others.
func patchHeaders(r *request) (*response, error) {
	set, gone, err := parseHeaders(r.body(), true)
	if err != nil {
		return nil, err
	}
	return respondUpdated(r, func(e *webhook.Endpoint) error {
		headers, err := r.server.sealer.openHeaders(e)
		if err != nil {
			return err
		}
		for _, name := range gone {
			headers.Delete(name)
		}
		for name, value := range set {
			headers.Delete(name) // in any case
			headers[name] = value
		}
		if err := headers.Validate(); err != nil {
			return err
		}
		return r.server.sealer.sealHeaders(e, headers)
	})
}

// parseHeaders reads headers and, for a change, deleteHeaders. A change also deletes headers that
// are null.
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

func respondUpdated(r *request, change func(*webhook.Endpoint) error) (*response, error) {
	if _, err := updateEndpoint(r, change); err != nil {
		return nil, err
	}
	return noContent(), nil
}
