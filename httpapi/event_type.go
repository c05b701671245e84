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

// eventTypeOut is an event type as the API shows it: feature flags under their old name, which is for one, and their new one.
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

// parseEventType has t take over what the body says; the rest stays. whole: what must not be left out is asked for.
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
			if t.Name == "" { // else it is in the path
				t.Name = b.string(name, v)
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

// schemas reads JSON Schemas by version; null is none.
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

func (s *Server) createEventType(ctx *fasthttp.RequestCtx) (answer, error) {
	var t webhook.EventType
	if err := parseEventType(ctx.PostBody(), &t, true); err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := s.config.Writer.CreateEventType(hold, t)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusCreated, showEventType(made)}, nil
}

// eventType is the one that the path names, as of now. A portal that lacks its feature flag does not see it.
func (s *Server) eventType(ctx *fasthttp.RequestCtx) (*webhook.EventType, error) {
	if err := s.current(); err != nil {
		return nil, err
	}
	return s.visibleEventType(ctx, pathValue(ctx, "event_type"))
}

// visibleEventType is the one of that name, if the caller sees it.
func (s *Server) visibleEventType(ctx *fasthttp.RequestCtx, name string) (*webhook.EventType, error) {
	t, err := s.config.Store.EventType(name)
	if err == nil && !seesEventType(caller(ctx), t) {
		return nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Event type not found"}
	}
	return t, err
}

func seesEventType(who *webhook.APIKey, t *webhook.EventType) bool {
	return who.Role != webhook.RoleApplication || t.VisibleTo(who.FeatureFlags)
}

func (s *Server) getEventType(ctx *fasthttp.RequestCtx) (answer, error) {
	t, err := s.eventType(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showEventType(t)}, nil
}

// putEventType replaces an event type, or makes it if there is none of that name.
func (s *Server) putEventType(ctx *fasthttp.RequestCtx) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	status := fasthttp.StatusOK
	made, err := changeThing(ctx, s, hold, func() (*webhook.EventType, error) {
		before, err := s.eventType(ctx)
		missing := webhook.ErrorCode(err) == webhook.CodeNotFound
		if err != nil && !missing {
			return nil, err
		}
		t := webhook.EventType{Name: pathValue(ctx, "event_type")}
		if err := parseEventType(ctx.PostBody(), &t, true); err != nil {
			return nil, err
		}
		if missing {
			status = fasthttp.StatusCreated
			return s.config.Writer.CreateEventType(hold, t)
		}
		t.Revision = before.Revision
		return s.config.Writer.UpdateEventType(hold, t)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status, showEventType(made)}, nil
}

// patchEventType changes what the body names.
func (s *Server) patchEventType(ctx *fasthttp.RequestCtx) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := changeThing(ctx, s, hold, func() (*webhook.EventType, error) {
		t, err := s.eventType(ctx)
		if err != nil {
			return nil, err
		}
		if err := parseEventType(ctx.PostBody(), t, false); err != nil {
			return nil, err
		}
		return s.config.Writer.UpdateEventType(hold, *t)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showEventType(made)}, nil
}

// deleteEventType archives an event type, or forgets it with expunge.
func (s *Server) deleteEventType(ctx *fasthttp.RequestCtx) (answer, error) {
	expunge, err := parseBool(ctx.QueryArgs(), "expunge", false)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.DeleteEventType(hold, pathValue(ctx, "event_type"), expunge); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}

// listEventTypes pages by name. An iterator is a name behind "+", to go on after it, or behind "-", to go back before it; a bare
// name, which the Svix API has, goes on too.
func (s *Server) listEventTypes(ctx *fasthttp.RequestCtx) (answer, error) {
	args := ctx.QueryArgs()
	page, err := parseNamePage(args)
	if err != nil {
		return answer{}, err
	}
	archived, err := parseBool(args, "include_archived", false)
	if err != nil {
		return answer{}, err
	}
	withContent, err := parseBool(args, "with_content", false)
	if err != nil {
		return answer{}, err
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	who := caller(ctx)
	list, more, err := s.config.Store.EventTypes(page, func(t *webhook.EventType) bool {
		return (archived || !t.Archived) && seesEventType(who, t)
	})
	if err != nil {
		return answer{}, err
	}
	var out listResponse
	out.Data, err = fill(list, func(t *webhook.EventType) (eventTypeOut, error) {
		shown := showEventType(t)
		if !withContent {
			shown.Schemas = nil
		}
		return shown, nil
	})
	if err != nil {
		return answer{}, err
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
	return answer{fasthttp.StatusOK, out}, nil
}

func parseNamePage(args *fasthttp.Args) (page wal.NamePage, err error) {
	page.Ascending, page.Bytes = true, pageBytes
	if page.Limit, err = parseLimit(args); err != nil {
		return page, err
	}
	page.From = string(args.Peek("iterator"))
	switch {
	case strings.HasPrefix(page.From, "-"):
		page.From, page.Ascending = page.From[1:], false
	case strings.HasPrefix(page.From, "+"), strings.HasPrefix(page.From, " "): // a plus sign that was not escaped
		page.From = page.From[1:]
	}
	return page, nil
}
