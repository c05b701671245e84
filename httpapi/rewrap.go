package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// rewrapStep is how many endpoints one call seals anew.
const rewrapStep = 256

// rewrap seals anew what is not sealed with the first of encryption_keys, of a bounded number of endpoints. It is called again while there
// are remaining ones. Requests that change an endpoint at the same time lose nothing: they come before or after.
func (s *Server) rewrap(*fasthttp.RequestCtx) (answer, error) {
	if err := s.current(); err != nil {
		return answer{}, err
	}
	var out struct {
		Rewrapped int `json:"rewrapped"`
		Remaining int `json:"remaining"`
	}
	// No idempotency key: a repetition finds less to do.
	hold, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	for _, endpoint := range s.config.Store.AllEndpoints() {
		if s.sealedNow(endpoint) {
			continue
		}
		if out.Rewrapped == rewrapStep {
			out.Remaining++
			continue
		}
		if err := s.rewrapEndpoint(hold, endpoint); err != nil {
			return answer{}, err
		}
		out.Rewrapped++
	}
	return answer{fasthttp.StatusOK, out}, nil
}

// sealedNow tells whether all secrets of an endpoint are sealed as they would be now.
func (s *Server) sealedNow(e *webhook.Endpoint) bool {
	for i := range e.Keys {
		if !s.config.Keyring.Current(e.Keys[i].Sealed) {
			return false
		}
	}
	return len(e.Headers) == 0 || s.config.Keyring.Current(e.Headers)
}

func (s *Server) rewrapEndpoint(hold context.Context, found *webhook.Endpoint) error {
	_, err := untilUnchanged(func() (*webhook.Endpoint, error) {
		if err := s.current(); err != nil {
			return nil, err
		}
		app, id := found.App, found.ID.Text(webhook.KindEndpoint)
		before, err := s.config.Store.Endpoint(app, id)
		if webhook.ErrorCode(err) == webhook.CodeNotFound { // it is gone, and its secrets with it
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		endpoint := *before
		endpoint.Keys = append([]webhook.Key(nil), before.Keys...)
		for i := range endpoint.Keys {
			if endpoint.Keys[i].Sealed, err = s.reseal(endpoint.Keys[i].Sealed); err != nil {
				return nil, rewrapFault(id, err)
			}
		}
		if len(endpoint.Headers) > 0 {
			if endpoint.Headers, err = s.reseal(endpoint.Headers); err != nil {
				return nil, rewrapFault(id, err)
			}
		}
		return s.config.Writer.UpdateEndpoint(hold, endpoint)
	})
	return err
}

func (s *Server) reseal(sealed webhook.Sealed) (webhook.Sealed, error) {
	plain, err := s.config.Keyring.Open(sealed)
	if err != nil {
		return nil, err
	}
	return s.seal(plain), nil
}

// rewrapFault says which endpoint it is and what to do.
func rewrapFault(endpoint string, err error) error {
	if errors.Is(err, webhook.ErrSealKey) {
		return &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("endpoint %s: %v on this node", endpoint, err)}
	}
	return fmt.Errorf("endpoint %s: %w", endpoint, err)
}
