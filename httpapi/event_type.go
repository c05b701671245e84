package httpapi

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// eventTypeOut is an event type in responses, with the old name of feature flags, of which there
// was only one, and the new one.
type eventTypeOut struct {
	Name         string                     `json:"name"`
	Description  string                     `json:"description"`
	GroupName    *string                    `json:"groupName"`
	Archived     bool                       `json:"archived"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      map[string]json.RawMessage `json:"schemas"`
	FeatureFlag  *string                    `json:"featureFlag"`
	FeatureFlags []string                   `json:"featureFlags"`
	CreatedAt    time.Time                  `json:"createdAt"`
	UpdatedAt    time.Time                  `json:"updatedAt"`
}

func showEventType(t *webhook.EventType) eventTypeOut {
	out := eventTypeOut{Name: t.Name, Description: t.Description, GroupName: optional(t.GroupName), Archived: t.Archived,
		Deprecated: t.Deprecated, Schemas: t.Schemas, FeatureFlags: t.FeatureFlags, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
	if len(t.FeatureFlags) > 0 {
		out.FeatureFlag = &t.FeatureFlags[0]
	}
	return out
}

// parseEventType sets the fields of t that the body has. If whole then required fields must be
// there.
func parseEventType(text []byte, t *webhook.EventType, whole bool) error {
	b, err := parseBody(text)
	if err != nil {
		return err
	}
	described := false
	var flags renamed[[]string]
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "name":
			if given := b.string(name, v); t.Name == "" { // otherwise it is in the path
				t.Name = given
			} else if err := webhook.ValidEventTypeName(given); err != nil {
				b.fail(name, err.(*webhook.Error).Detail)
			}
		case "description":
			t.Description, described = b.string(name, v), true
		case "groupName":
			t.GroupName = b.optionalString(name, v)
		case "archived":
			t.Archived = b.bool(name, v)
		case "deprecated":
			t.Deprecated = b.bool(name, v)
		case "schemas":
			t.Schemas = b.schemas(name, v)
		case "featureFlag":
			flags.old = new(slices.DeleteFunc([]string{b.optionalString(name, v)}, func(flag string) bool { return flag == "" }))
		case "featureFlags":
			flags.current = new(b.strings(name, v))
		}
	})
	flags.set(&t.FeatureFlags, noList)
	if whole && !described {
		b.fail("description", "is missing")
	}
	if err := b.err(); err != nil {
		return err
	}
	return t.Validate()
}

// schemas reads JSON Schemas by version; null is nil.
func (b *body) schemas(field string, v gjson.Result) map[string]json.RawMessage {
	if isNull(v) {
		return nil
	}
	if !v.IsObject() {
		b.fail(field, "must be an object of JSON Schemas by version")
		return nil
	}
	schemas := make(map[string]json.RawMessage)
	b.items(field, v, func(version string, schema gjson.Result) {
		if err := checkSchema(schema.Raw); err != nil {
			b.fail(field+"/"+version, err.Error())
		}
		schemas[version] = json.RawMessage(schema.Raw)
	})
	return schemas
}

func createEventType(r *request) (*response, error) {
	var t webhook.EventType
	if err := parseEventType(r.body(), &t, true); err != nil {
		return nil, err
	}
	made, err := r.writer().CreateEventType(r.context(), t)
	if err != nil {
		return nil, err
	}
	return respondEventType(r, fasthttp.StatusCreated, made), nil
}

func respondEventType(r *request, status int, t *webhook.EventType) *response {
	return tagged(r, status, tagOfEventType(t), showEventType(t))
}

func getEventType(r *request) (*response, error) {
	t, err := r.named().eventType()
	if err != nil {
		return nil, err
	}
	return respondEventType(r, fasthttp.StatusOK, t), nil
}

// putEventType replaces or creates an event type.
func putEventType(r *request) (*response, error) {
	status := fasthttp.StatusOK
	made, err := update(r, func() (*webhook.EventType, error) {
		before, err := r.named().eventType()
		missing := webhook.ErrorCode(err) == webhook.CodeNotFound
		if err != nil && !missing {
			return nil, err
		}
		tag := ""
		if !missing {
			tag = tagOfEventType(before)
		}
		if err := checkMatch(r, tag); err != nil {
			return nil, err
		}
		t := webhook.EventType{Name: r.path("event_type")}
		if err := parseEventType(r.body(), &t, true); err != nil {
			return nil, err
		}
		if missing {
			status = fasthttp.StatusCreated
			return r.writer().CreateEventType(r.context(), t)
		}
		t.Revision = before.Revision
		return r.writer().UpdateEventType(r.context(), t)
	})
	if err != nil {
		return nil, err
	}
	return respondEventType(r, status, made), nil
}

// patchEventType changes the fields that the body has.
func patchEventType(r *request) (*response, error) {
	made, err := update(r, func() (*webhook.EventType, error) {
		t, err := r.named().eventType()
		if err != nil {
			return nil, err
		}
		if err := checkMatch(r, tagOfEventType(t)); err != nil {
			return nil, err
		}
		if err := parseEventType(r.body(), t, false); err != nil {
			return nil, err
		}
		return r.writer().UpdateEventType(r.context(), *t)
	})
	if err != nil {
		return nil, err
	}
	return respondEventType(r, fasthttp.StatusOK, made), nil
}

// deleteEventType archives an event type, or removes it with expunge.
func deleteEventType(r *request) (*response, error) {
	q := r.query()
	expunge := q.bool("expunge", false)
	if q.err != nil {
		return nil, q.err
	}
	if err := r.writer().DeleteEventType(r.context(), r.path("event_type"), expunge); err != nil {
		return nil, err
	}
	return noContent(), nil
}

// listEventTypes pages by name. An iterator is "+" and a name, to continue after it, or "-" and a
// name, to go back before it. A name alone, as in the Svix API, continues after it too.
func listEventTypes(r *request) (*response, error) {
	q := r.query()
	page := q.namePage()
	archived, withContent := q.bool("include_archived", false), q.bool("with_content", false)
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	list, more, err := r.store().EventTypes(page, func(t *webhook.EventType) bool {
		return (archived || !t.Archived) && r.canSee(t)
	})
	if err != nil {
		return nil, err
	}
	var out listResponse
	out.Data, err = fill(r.paced, list, func(t *webhook.EventType) (eventTypeOut, error) {
		shown := showEventType(t)
		if !withContent {
			shown.Schemas = nil
		}
		return shown, nil
	})
	if err != nil {
		return nil, err
	}
	if len(out.Data) > 0 {
		first, last := list[0].Name, list[len(out.Data)-1].Name
		if !page.Ascending {
			slices.Reverse(out.Data)
			first, last = last, first
		}
		out.Iterator, out.PrevIterator = new("+"+last), new("-"+first)
	}
	out.Done = !more && len(out.Data) == len(list)
	return ok(out), nil
}

// namePage reads limit and iterator of a list that is sorted by name.
func (q *query) namePage() wal.NamePage {
	page := wal.NamePage{Ascending: true, Bytes: pageBytes, Limit: q.limit(), From: q.text("iterator")}
	switch {
	case strings.HasPrefix(page.From, "-"):
		page.From, page.Ascending = page.From[1:], false
	case strings.HasPrefix(page.From, "+"), strings.HasPrefix(page.From, " "): // an unescaped plus sign
		page.From = page.From[1:]
	}
	if q.text("iterator") != "" && webhook.ValidEventTypeName(page.From) != nil {
		q.fail("iterator", badIterator)
	}
	return page
}
