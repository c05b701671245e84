package httpapi

import (
	"encoding/json"
	"testing"
)

// FuzzParseMessage never panics, agrees with encoding/json on what is JSON, and takes the payload byte for byte.
func FuzzParseMessage(f *testing.F) {
	for _, text := range []string{`{"eventType":"a","payload":{}}`, ` { "payload" : { "b":[1,2] } , "eventType":"a", "channels":["x"]}`,
		`{"eventType":"a","payload":{},"payload":{"last":true}}`, `{"eventType":"\u0061","payload":{"x":"\ud800"}}`, `[]`, `{`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMessage(text)
		if err != nil {
			return
		}
		var want struct {
			EventType string          `json:"eventType"`
			Payload   json.RawMessage `json:"payload"`
			Data      json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("encoding/json does not take %q: %v", text, err)
		}
		if got := string(m.Payload); got != string(want.Payload) && got != string(want.Data) {
			t.Errorf("payload %q of %q", got, text)
		}
	})
}
