package httpapi

import (
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// applicationOut is an application in responses, with both names of its rate limit.
type applicationOut struct {
	ID           string            `json:"id"`
	UID          *string           `json:"uid,omitempty"`
	Name         string            `json:"name"`
	RateLimit    *uint16           `json:"rateLimit,omitempty"`
	ThrottleRate *uint16           `json:"throttleRate"`
	MaxEndpoints *uint32           `json:"maxEndpoints"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func showApplication(app *webhook.Application) applicationOut {
	out := applicationOut{ID: app.ID.Text(webhook.KindApplication), UID: optional(app.UID), Name: app.Name,
		RateLimit: optional(app.RateLimit), ThrottleRate: optional(app.RateLimit), MaxEndpoints: optional(app.Endpoints), Metadata: app.Metadata,
		CreatedAt: app.CreatedAt, UpdatedAt: app.UpdatedAt}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

// optional returns nil for a zero value.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// parseApplication sets the fields of app that the body has.
func parseApplication(text []byte, app *webhook.Application) error {
	b, err := parseBody(text)
	if err != nil {
		return err
	}
	var rate renamed[uint16]
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "name":
			app.Name = b.string(name, v)
		case "uid":
			app.UID = b.optionalString(name, v)
		case "rateLimit":
			rate.old = new(b.positive(name, v))
		case "throttleRate":
			rate.current = new(b.positive(name, v))
		case "maxEndpoints":
			app.Endpoints = uint32(b.between(name, v, 1, maxMaxEndpoints))
		case "metadata":
			app.Metadata = b.stringMap(name, v)
		}
	})
	rate.set(&app.RateLimit, noRate)
	if err := b.err(); err != nil {
		return err
	}
	return app.Validate()
}

// maxMaxEndpoints is the highest limit that an admin may give an application: each message is
// matched with all its endpoints.
const maxMaxEndpoints = 100_000

// checkCreate refuses what only an admin may set in a new application: its limit of endpoints, and
// the uid of operational webhooks.
func (r *request) checkCreate(app *webhook.Application) error {
	switch {
	case r.caller.Role == webhook.RoleAdmin:
		return nil
	case app.Endpoints != 0:
		return &webhook.Error{Code: webhook.CodeForbidden, Detail: "Only an admin may set maxEndpoints."}
	case app.UID == webhook.OperationalUID:
		return &webhook.Error{Code: webhook.CodeForbidden, Detail: "Only an admin may create the application " + webhook.OperationalUID + "."}
	}
	return nil
}

func createApplication(r *request) (*response, error) {
	q := r.query()
	getIfExists := q.bool("get_if_exists", false)
	if q.err != nil {
		return nil, q.err
	}
	var app webhook.Application
	if err := parseApplication(r.body(), &app); err != nil {
		return nil, err
	}
	if err := r.checkCreate(&app); err != nil {
		return nil, err
	}
	made, isNew, err := r.writer().CreateApplication(r.context(), app, getIfExists)
	if err != nil {
		return nil, err
	}
	if !isNew {
		return respondApplication(r, fasthttp.StatusOK, made), nil
	}
	return respondApplication(r, fasthttp.StatusCreated, made), nil
}

func respondApplication(r *request, status int, app *webhook.Application) *response {
	return tagged(r, status, tagOfApplication(app), showApplication(app))
}

func getApplication(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	return respondApplication(r, fasthttp.StatusOK, app), nil
}

// putApplication replaces or creates an application.
func putApplication(r *request) (*response, error) {
	status := fasthttp.StatusOK
	made, err := update(r, func() (*webhook.Application, error) {
		before, err := r.named().application()
		missing := webhook.ErrorCode(err) == webhook.CodeNotFound
		if err != nil && !missing {
			return nil, err
		}
		var app webhook.Application
		tag := ""
		if !missing {
			tag = tagOfApplication(before)
			app.ID, app.Revision, app.Endpoints = before.ID, before.Revision, before.Endpoints // not part of the Svix API
		}
		if err := checkMatch(r, tag); err != nil {
			return nil, err
		}
		if err := parseApplication(r.body(), &app); err != nil {
			return nil, err
		}
		if !missing {
			return r.writer().UpdateApplication(r.context(), app)
		}
		status = fasthttp.StatusCreated
		made, _, err := r.writer().CreateApplication(r.context(), app, false)
		return made, err
	})
	if err != nil {
		return nil, err
	}
	return respondApplication(r, status, made), nil
}

// patchApplication changes the fields that the body has.
func patchApplication(r *request) (*response, error) {
	made, err := update(r, func() (*webhook.Application, error) {
		before, err := r.named().application()
		if err != nil {
			return nil, err
		}
		if err := checkMatch(r, tagOfApplication(before)); err != nil {
			return nil, err
		}
		app := *before
		if err := parseApplication(r.body(), &app); err != nil {
			return nil, err
		}
		return r.writer().UpdateApplication(r.context(), app)
	})
	if err != nil {
		return nil, err
	}
	return respondApplication(r, fasthttp.StatusOK, made), nil
}

func deleteApplication(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	if err := r.writer().DeleteApplication(r.context(), app.ID); err != nil {
		return nil, err
	}
	if err := awaitMembers(r); err != nil { // its tokens ended with it
		return nil, err
	}
	r.audit(auditTokensEnded, "app", app.ID.Text(webhook.KindApplication))
	return noContent(), nil
}

func listApplications(r *request) (*response, error) {
	q := r.query()
	l := q.listing(webhook.KindApplication, q.ascending(true))
	text := q.search()
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	id := func(a *webhook.Application) webhook.ID { return a.ID }
	if text != "" {
		list, next, err := r.store().SearchApplications(l.Page, text)
		if err != nil {
			return nil, err
		}
		return respondSearch(l, list, next, id, func(a *webhook.Application) (applicationOut, error) { return showApplication(a), nil })
	}
	list, more, err := r.store().Applications(l.Page)
	if err != nil {
		return nil, err
	}
	return respondPage(l, list, more, id, showApplication)
}
