package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzEnvelope opens each envelope with encoding/json and finds the payload in it as it was.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"a": 1.0, "b":"\u00e9"}`), false)
	f.Add([]byte("plain \"text\"\n"), true)
	f.Add([]byte("<a>\u2028</a>"), true)
	f.Add([]byte{0xff, 0}, true)
	f.Add([]byte(" 1 "), true)
	f.Fuzz(func(t *testing.T, payload []byte, raw bool) {
		if !raw && !json.Valid(payload) {
			t.Skip()
		}
		m := &Message{ID: NewID(1_790_000_000_123, 1, 0), EventType: "invoice.paid", Payload: payload, Raw: raw}
		text := AppendEnvelope(nil, m)
		var got struct {
			ID        string          `json:"webhook_id"`
			Type      string          `json:"type"`
			Timestamp time.Time       `json:"timestamp"`
			Data      json.RawMessage `json:"data"`
			Base64    string          `json:"data_base64"`
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.ID != m.ID.Text(KindMessage) || got.Type != m.EventType || !got.Timestamp.Equal(m.ID.Time()) {
			t.Errorf("%s", text)
		}
		switch {
		case json.Valid(payload):
			if !bytes.Contains(text, payload) || !bytes.Equal(got.Data, bytes.TrimSpace(payload)) {
				t.Errorf("the payload %q became %q", payload, got.Data)
			}
		case utf8.Valid(payload):
			var data string
			if err := json.Unmarshal(got.Data, &data); err != nil || data != string(payload) {
				t.Errorf("the text %q became %q: %v", payload, data, err)
			}
		default:
			if data, err := base64.StdEncoding.DecodeString(got.Base64); err != nil || !bytes.Equal(data, payload) {
				t.Errorf("the bytes %q became %q: %v", payload, data, err)
			}
		}
	})
}

func TestEnvelope(t *testing.T) {
	m := &Message{ID: NewID(1_790_000_000_120, 1, 0), EventType: "invoice.paid", Payload: []byte(`{"b": 1,  "a": 1.0}`)}
	want := `{"webhook_id":"` + m.ID.Text(KindMessage) + `","type":"invoice.paid","timestamp":"2026-09-21T14:13:20.12Z","data":{"b": 1,  "a": 1.0}}`
	if got := string(AppendEnvelope(nil, m)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
