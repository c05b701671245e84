package httpapi

import (
	"context"
	"errors"
	"fmt"

	"hookwheel/webhook"
)

// rewrapStep is how many endpoints one call reseals.
const rewrapStep = 256

// rewrapSecrets reseals what is not sealed with the first of encryption_keys, for a limited number
// of endpoints. Clients repeat it until none are remaining. Concurrent changes of an endpoint are
// not lost.
func rewrapSecrets(r *request) (*response, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	var out struct {
		Rewrapped int `json:"rewrapped"`
		Remaining int `json:"remaining"`
	}
	ctx, cancel := leaderContext() // without the idempotency key: a repetition finds less to do
	defer cancel()
	for _, endpoint := range r.store().AllEndpoints() {
		if r.server.sealer.isCurrent(endpoint) {
			continue
		}
		if out.Rewrapped == rewrapStep {
			out.Remaining++
			continue
		}
		if err := rewrapEndpoint(ctx, r, endpoint); err != nil {
			return nil, err
		}
		out.Rewrapped++
	}
	return ok(out), nil
}

func rewrapEndpoint(ctx context.Context, r *request, found *webhook.Endpoint) error {
	_, err := untilUnchanged(func() (*webhook.Endpoint, error) {
		if err := r.current(); err != nil {
			return nil, err
		}
		app, id := found.App, found.ID.Text(webhook.KindEndpoint)
		before, err := r.store().Endpoint(app, id)
		if webhook.ErrorCode(err) == webhook.CodeNotFound { // deleted, with its secrets
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		endpoint := *before
		endpoint.Keys = append([]webhook.Key(nil), before.Keys...)
		for i := range endpoint.Keys {
			if endpoint.Keys[i].Sealed, err = r.server.sealer.reseal(endpoint.Keys[i].Sealed); err != nil {
				return nil, rewrapFault(id, err)
			}
		}
		if len(endpoint.Headers) > 0 {
			if endpoint.Headers, err = r.server.sealer.reseal(endpoint.Headers); err != nil {
				return nil, rewrapFault(id, err)
			}
		}
		return r.writer().ResealEndpoint(ctx, endpoint)
	})
	return err
}

// rewrapFault adds the endpoint to an error.
func rewrapFault(endpoint string, err error) error {
	if errors.Is(err, webhook.ErrSealKey) {
		return &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("endpoint %s: %v on this node", endpoint, err)}
	}
	return fmt.Errorf("endpoint %s: %w", endpoint, err)
}
