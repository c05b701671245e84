package delivery

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hookwheel/webhook"
)

// A receiver that sends a hundred certificates has none of them verified.
func TestManyCertificatesAreNotVerified(t *testing.T) {
	receiver := httptest.NewUnstartedServer(http.NotFoundHandler())
	receiver.StartTLS()
	defer receiver.Close()
	own := receiver.TLS.Certificates[0]
	for range 100 {
		own.Certificate = append(own.Certificate, own.Certificate[0])
	}
	receiver.TLS.Certificates[0] = own
	d := newDialer(&Config{Allow: loopback, Workers: 1})
	defer d.abort()
	_, err := d.dial(t.Context(), peer{address: strings.TrimPrefix(receiver.URL, "https://"), secure: true}, new(webhook.Trace))
	if err == nil || !strings.Contains(err.Error(), "101 certificates") {
		t.Errorf("got %v", err)
	}
}
