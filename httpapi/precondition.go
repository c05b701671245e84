package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// codePrecondition is for a change of a state that the client has not seen.
const codePrecondition webhook.Code = "precondition_failed"

var errStale = &webhook.Error{Code: codePrecondition,
	Detail: "It was changed since the state that If-Match names. Get it again, and decide which changes to keep."}

// tagOf returns the ETag of a state of an object with a name that no other has. It does not show
// the revision, which says how much happens in the whole cluster.
func tagOf(name string, revision uint64) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(name), revision))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

func tagOfApplication(app *webhook.Application) string {
	return tagOf(string(app.ID[:]), app.Revision)
}

func tagOfEndpoint(e *webhook.Endpoint) string {
	return tagOf(string(e.ID[:]), e.Revision)
}

func tagOfEventType(t *webhook.EventType) string {
	return tagOf("event type "+t.Name, t.Revision)
}

func tagOfSettings(s *webhook.Settings) string {
	return tagOf("settings", s.Revision)
}

// tagged is a response with an object and the name of its state.
func tagged(r *request, status int, tag string, value any) *response {
	r.http.Response.Header.Set(fasthttp.HeaderETag, tag)
	return &response{status: status, value: value}
}

// checkMatch returns an error if the request is only for states other than that with this ETag
// (RFC 9110, section 13.1.1). An empty tag is that of an object that does not exist.
func checkMatch(r *request, tag string) error {
	wanted := string(r.http.Request.Header.Peek(fasthttp.HeaderIfMatch))
	if wanted == "" || wanted == "*" && tag != "" {
		return nil
	}
	for part := range strings.SplitSeq(wanted, ",") {
		if tag != "" && strings.TrimSpace(part) == tag {
			return nil
		}
	}
	return errStale
}
