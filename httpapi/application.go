package httpapi

import (
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// applicationOut is an application as the API shows it: rates under their old and their new name.
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

// optional is null for what is not set.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// parseApplication has app take over what the body says; the rest stays.
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
// matched with all of them.
const maxMaxEndpoints = 100_000

// mayCreate refuses what only an admin may say of a new application: its own limit, and that it is
// the one to which Hookwheel itself writes.
func mayCreate(ctx *fasthttp.RequestCtx, app *webhook.Application) error {
	switch {
	case caller(ctx).Role == webhook.RoleAdmin:
		return nil
	case app.Endpoints != 0:
		return &webhook.Error{Code: webhook.CodeForbidden, Detail: "Only an admin may set maxEndpoints."}
	case app.UID == webhook.OperationalUID:
		return &webhook.Error{Code: webhook.CodeForbidden, Detail: "Only an admin may create the application " + webhook.OperationalUID + "."}
	}
	return nil
}

func (s *Server) createApplication(ctx *fasthttp.RequestCtx) (answer, error) {
	getIfExists, err := parseBool(ctx.QueryArgs(), "get_if_exists", false)
	if err != nil {
		return answer{}, err
	}
	var app webhook.Application
	if err := parseApplication(ctx.PostBody(), &app); err != nil {
		return answer{}, err
	}
	if err := mayCreate(ctx, &app); err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, created, err := s.config.Writer.CreateApplication(hold, app, getIfExists)
	if err != nil {
		return answer{}, err
	}
	if !created {
		return answer{fasthttp.StatusOK, showApplication(made)}, nil
	}
	return answer{fasthttp.StatusCreated, showApplication(made)}, nil
}

func (s *Server) getApplication(ctx *fasthttp.RequestCtx) (answer, error) {
	app, err := s.application(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showApplication(app)}, nil
}

// putApplication replaces an application, or makes one if there is none of that name.
func (s *Server) putApplication(ctx *fasthttp.RequestCtx) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	status := fasthttp.StatusOK
	made, err := changeThing(ctx, s, hold, func() (*webhook.Application, error) {
		before, err := s.application(ctx)
		missing := webhook.ErrorCode(err) == webhook.CodeNotFound
		if err != nil && !missing {
			return nil, err
		}
		var app webhook.Application
		if !missing {
			app.ID, app.Revision, app.Endpoints = before.ID, before.Revision, before.Endpoints // Svix has no such limit
		}
		if err := parseApplication(ctx.PostBody(), &app); err != nil {
			return nil, err
		}
		if !missing {
			return s.config.Writer.UpdateApplication(hold, app)
		}
		status = fasthttp.StatusCreated
		made, _, err := s.config.Writer.CreateApplication(hold, app, false)
		return made, err
	})
	if err != nil {
		return answer{}, err
	}
	return answer{status, showApplication(made)}, nil
}

// patchApplication changes what the body names.
func (s *Server) patchApplication(ctx *fasthttp.RequestCtx) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := changeThing(ctx, s, hold, func() (*webhook.Application, error) {
		before, err := s.application(ctx)
		if err != nil {
			return nil, err
		}
		app := *before
		if err := parseApplication(ctx.PostBody(), &app); err != nil {
			return nil, err
		}
		return s.config.Writer.UpdateApplication(hold, app)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showApplication(made)}, nil
}

func (s *Server) deleteApplication(ctx *fasthttp.RequestCtx) (answer, error) {
	app, err := s.application(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.DeleteApplication(hold, app.ID); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}

func (s *Server) listApplications(ctx *fasthttp.RequestCtx) (answer, error) {
	ascending, err := parseOrder(ctx.QueryArgs(), true)
	if err != nil {
		return answer{}, err
	}
	l, err := parseListing(ctx.QueryArgs(), webhook.KindApplication, ascending)
	if err != nil {
		return answer{}, err
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	list, more, err := s.config.Store.Applications(l.Page)
	if err != nil {
		return answer{}, err
	}
	return respond(l, list, more, func(a *webhook.Application) webhook.ID { return a.ID }, showApplication)
}

// application is the one that the path names, as of now.
func (s *Server) application(ctx *fasthttp.RequestCtx) (*webhook.Application, error) {
	if err := s.current(); err != nil {
		return nil, err
	}
	return s.config.Store.Application(pathValue(ctx, "app"))
}

// applicationToWrite is the one that the path names, for an operation that goes to the leader anyway. This node may not
// have heard of one that was made a moment ago, so only then it asks.
func (s *Server) applicationToWrite(ctx *fasthttp.RequestCtx) (*webhook.Application, error) {
	if app, err := s.config.Store.Application(pathValue(ctx, "app")); err == nil {
		return app, nil
	}
	return s.application(ctx)
}

func pathValue(ctx *fasthttp.RequestCtx, name string) string {
	value, _ := ctx.UserValue(name).(string)
	return value
}
