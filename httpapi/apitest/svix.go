package apitest

import (
	"errors"
	"net/url"
	"testing"

	svix "github.com/svix/svix-webhooks/go"
)

// NewSvix returns a client of the Go SDK of Svix for the server at address.
func NewSvix(t *testing.T, address, token string) *svix.Svix {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := svix.New(token, &svix.SvixOptions{ServerUrl: server})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Need returns the result of a call to the SDK that must succeed.
func Need[Out any](out Out, err error) func(*testing.T) Out {
	return func(t *testing.T) Out {
		t.Helper()
		if err != nil {
			var refusal *svix.Error
			if errors.As(err, &refusal) {
				t.Fatalf("%v: %s", err, refusal.Body())
			}
			t.Fatal(err)
		}
		return out
	}
}
