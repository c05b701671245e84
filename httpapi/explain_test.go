package httpapi

import (
	"strings"
	"testing"

	"hookwheel/webhook"
)

func TestFailureWords(t *testing.T) {
	for end, a := range map[string]webhook.Attempt{
		" got status 500": {StatusCode: 500, Response: []byte("not sent: x")},
		" got no response (connection refused: nothing listens there)": {Response: []byte("connection refused: nothing listens there")},
		" was not sent (its operator must act)":                        {Response: []byte("not sent: its operator must act")},
	} {
		if got := failureWords(&a); !strings.HasSuffix(got, end) {
			t.Errorf("got %q, want suffix %q", got, end)
		}
	}
}
