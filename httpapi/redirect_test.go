package httpapi_test

import (
	"net/http"
	"testing"
)

// A redirect names no host and no scheme: behind a proxy with TLS, a node would name the wrong one.
func TestRedirectsAreRelative(t *testing.T) {
	a := apiStart(t)
	request, err := http.NewRequest("GET", a.url+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "hooks.example.com"
	response, err := http.DefaultTransport.RoundTrip(request) // does not follow it
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got := response.Header.Get("Location"); response.StatusCode != 307 || got != "/docs" {
		t.Errorf("%d, Location %q", response.StatusCode, got)
	}
}
