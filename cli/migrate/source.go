package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strings"

	"hookwheel/webhook"
)

// Source is a service that an import reads. An error ends the import.
type Source interface {
	EventTypes(context.Context) iter.Seq2[*EventType, error]
	Applications(context.Context) iter.Seq2[*Application, error]
	// Endpoints returns the endpoints of an application that Applications returned.
	Endpoints(context.Context, *Application) iter.Seq2[*Endpoint, error]
}

// Origin is what every object of a source has.
type Origin struct {
	ID    string   // at the source
	Fault string   // why it can't be copied; empty: it can
	Notes []string // what is not copied as it was, although the object is
}

func (o *Origin) note(text string) { o.Notes = append(o.Notes, text) }

// EventType is an event type of a source.
type EventType struct {
	Origin
	Settings webhook.EventType
}

// Application is a customer of a source.
type Application struct {
	Origin
	Settings webhook.Application
	alone    string // id of the endpoint that it is made for; empty: it is not
}

// Endpoint is an endpoint of a source.
type Endpoint struct {
	Origin
	Settings webhook.Endpoint // without keys and headers
	Secret   string           // empty: unknown
	Headers  webhook.Headers
	Hidden   []string // names of headers whose values the source does not show
	// Holds are the reasons for which its requests would not be as before. With any, the endpoint
	// is copied as disabled: its messages wait until an operator enables it.
	Holds []string
}

func (e *Endpoint) hold(text string) { e.Holds = append(e.Holds, text) }

// newUID returns the uid under which an object is found after the import: the one it has at the
// source or else its id there. Text that can't be a uid is changed, always in the same way.
func newUID(valid func(uid string) error, uid, id string) string {
	if uid == "" {
		uid = id
	}
	if uid != "" && valid(uid) == nil {
		return uid
	}
	sum := sha256.Sum256([]byte(uid))
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-_.:+", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, uid)
	if clean == uid && valid("was_"+uid) == nil { // an id of ours, from another cluster
		return "was_" + uid
	}
	return "was_" + clean[:min(len(clean), 200)] + "-" + hex.EncodeToString(sum[:6])
}

func validApplicationUID(uid string) error {
	return (&webhook.Application{UID: uid, Name: "name"}).Validate()
}

func validEndpointUID(uid string) error {
	return (&webhook.Endpoint{UID: uid, URL: "https://example.com/"}).Validate()
}

// safeID reports whether an id of the source can be a segment of a path.
func safeID(id string) bool { return webhook.ValidEventTypeName(id) == nil }

// short returns text that came from a source, cut to what a report can show.
func short(text string) string {
	const limit = 200
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
