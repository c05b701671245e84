package httpapi

import (
	"encoding/json"

	"hookwheel/webhook"
)

// Operational webhooks are delivered to the endpoints of a special application, which is created
// when it is first needed. Their operations are those of any other endpoints.

// operational returns the handler of an operation on an endpoint of that application.
func operational(h handler) handler {
	return func(r *request) (*response, error) {
		r.setApplication(webhook.OperationalUID)
		return h(r)
	}
}

// operationalCreated is operational, but creates the application first if it does not exist.
func operationalCreated(h handler) handler {
	return operational(func(r *request) (*response, error) {
		_, err := r.named().applicationByName(webhook.OperationalUID)
		if webhook.ErrorCode(err) == webhook.CodeNotFound {
			ctx, cancel := leaderContext() // the idempotency key is that of the endpoint
			defer cancel()
			app := webhook.Application{UID: webhook.OperationalUID, Name: "Operational webhooks"}
			if _, _, err := r.writer().CreateApplication(ctx, app, true); err != nil {
				return nil, err
			}
		}
		return h(r)
	})
}

// listOperational returns an empty list if the application does not exist.
func listOperational(r *request) (*response, error) {
	resp, err := operational(listEndpoints)(r)
	if webhook.ErrorCode(err) == webhook.CodeNotFound {
		return ok(listResponse{Data: []json.RawMessage{}, Done: true}), nil
	}
	return resp, err
}
