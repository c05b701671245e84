package httpapi

import (
	"context"
	"encoding/json"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// Operational webhooks are delivered to the endpoints of an application of their own, which is made when it is first needed. The
// operations on these endpoints are those on any others.

// operational is the handler of the same operation on an endpoint of that application.
func (s *Server) operational(h handler) handler {
	return func(ctx *fasthttp.RequestCtx) (answer, error) {
		ctx.SetUserValue("app", webhook.OperationalUID)
		return h(ctx)
	}
}

// operationalMade sees to it that the application is there.
func (s *Server) operationalMade(h handler) handler {
	return s.operational(func(ctx *fasthttp.RequestCtx) (answer, error) {
		if _, err := s.applicationToWrite(ctx); webhook.ErrorCode(err) == webhook.CodeNotFound {
			hold, cancel := context.WithTimeout(context.Background(), holdTimeout) // the idempotency key is the endpoint's
			defer cancel()
			app := webhook.Application{UID: webhook.OperationalUID, Name: "Operational webhooks"}
			if _, _, err := s.config.Writer.CreateApplication(hold, app, true); err != nil {
				return answer{}, err
			}
		}
		return h(ctx)
	})
}

// listOperational is empty while there is no such application.
func (s *Server) listOperational(ctx *fasthttp.RequestCtx) (answer, error) {
	a, err := s.operational(s.listEndpoints)(ctx)
	if webhook.ErrorCode(err) == webhook.CodeNotFound {
		return answer{fasthttp.StatusOK, listResponse{Data: []json.RawMessage{}, Done: true}}, nil
	}
	return a, err
}
