package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// FuzzParseMessage never panics, agrees with encoding/json on what is JSON, and takes the payload
// byte for byte.
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

func TestLoneSurrogates(t *testing.T) {
	for raw, want := range map[string]bool{
		`"plain"`:              false,
		`"\ud83d\ude00"`:       false,
		`"\uD83D\uDE00x"`:      false,
		`"\\ud800"`:            false, // an escaped backslash
		`"\\\\ud800"`:          false,
		`"\ufffd"`:             false,
		`"\ud800"`:             true,
		`"a\udc00"`:            true,
		`"\ude00\ud83d"`:       true,
		`"\ud83d\ud83d\ude00"`: true,
		`"\ud83dx\ude00"`:      true,
		`"\\\ud800"`:           true,
		`"\ud83d\n\ude00"`:     true,
		`"\ud83d\ude00\ud83d"`: true,
		`"\"\ud800"`:           true,
	} {
		if got := hasLoneSurrogate(raw); got != want {
			t.Errorf("%s: %t", raw, got)
		}
	}
}

// Strings of every kind of field are refused if they have no UTF-8 form, with their place.
func TestStringsWithoutUTF8(t *testing.T) {
	message := func(text string) error { _, err := parseMessage([]byte(text)); return err }
	application := func(text string) error { return parseApplication([]byte(text), new(webhook.Application)) }
	endpoint := func(text string) error { _, err := parseEndpoint([]byte(text), new(webhook.Endpoint)); return err }
	eventType := func(text string) error { return parseEventType([]byte(text), new(webhook.EventType), false) }
	headers := func(text string) error { _, _, err := parseHeaders([]byte(text), true); return err }
	for _, test := range []struct {
		parse       func(string) error
		text, field string
	}{
		{message, `{"eventType":"x","payload":{},"transformationsParams":{"rawPayload":"a\ud800b"}}`, "transformationsParams/rawPayload"},
		{message, `{"eventType":"x","payload":{},"transformationsParams":{"headers":{"a\ud800":"b"}}}`, "transformationsParams/headers/a\ufffd"},
		{message, `{"eventType":"x","payload":{},"tags":["\udfff"]}`, "tags/[0]"},
		{message, `{"eventType":"x","payload":{},"\ud800":1}`, "\ufffd"},
		{message, `{"eventType":"x","payload":{},"application":{"name":"\ud800"}}`, "application/name"},
		{application, `{"name":"\ud800"}`, "name"},
		{application, `{"name":"x","metadata":{"k":"\ud800"}}`, "metadata/k"},
		{application, `{"name":"x","metadata":{"a\ud800":"1","a\ud801":"2"}}`, "metadata/a\ufffd"},
		{application, `{"name":"x","metadata":{"a":"1","\u0061":"2"}}`, "metadata/a"},
		{endpoint, `{"url":"https://x.example/\ud800"}`, "url"},
		{endpoint, `{"url":"https://x.example/","description":"\udc00"}`, "description"},
		{endpoint, `{"url":"https://x.example/","headers":{"A":"\udc00"}}`, "headers/A"},
		{endpoint, `{"url":"https://x.example/","headers":{"A":"1","\u0041":"2"}}`, "headers/A"},
		{eventType, `{"name":"x","description":"\udc00"}`, "description"},
		{eventType, `{"name":"x","schemas":{"1\ud800":{}}}`, "schemas/1\ufffd"},
		{headers, `{"headers":{"A":"\udc00"}}`, "headers/A"},
		{headers, `{"deleteHeaders":["\udc00"]}`, "deleteHeaders/[0]"},
	} {
		var many manyInvalid
		if err := test.parse(test.text); !errors.As(err, &many) || many[0].Field != test.field {
			t.Errorf("%s: %v", test.text, err)
		}
	}
	if err := message(`{"eventType":"x","payload":{"a":"\ud800"}}`); err != nil {
		t.Errorf("a payload is passed on as it is: %v", err)
	}
}

// A time must have a text in UTC: by its offset it may be in a year that has none.
func TestParseInstant(t *testing.T) {
	for text, valid := range map[string]bool{
		"2026-01-31T12:00:00Z": true, "2026-01-31T12:00:00.5+02:00": true, "9999-12-31T23:59:59Z": true, "9999-12-31T23:59:59+23:59": true,
		"9999-12-31T23:59:59-00:01": false, "9999-12-31T23:59:59-23:59": false, "0000-01-01T00:00:00Z": false, "0000-01-01T00:00:00+23:59": false,
		"2014-01-01T00:00:00Z": false, "2026-01-31": false, "": false, "yesterday": false,
	} {
		got, parsed := parseInstant(text)
		if parsed != valid {
			t.Errorf("%q: %v, %t", text, got, parsed)
		}
		if parsed {
			if _, err := got.MarshalJSON(); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

// TestFaultsAreFew: however much is wrong with a body, the response that says so is small.
func TestFaultsAreFew(t *testing.T) {
	for name, text := range map[string]string{
		"items":        `{"channels":[` + strings.Repeat("1,", 100_000) + `1]}`,
		"a name twice": `{"headers":{` + strings.Repeat(`"a":"b",`, 100_000) + `"a":"b"}}`,
		"long names":   `{"metadata":{` + strings.Repeat(`"`+strings.Repeat("<", 20_000)+`":1,`, 40) + `"a":1}}`,
	} {
		_, err := parseEndpoint([]byte(text), new(webhook.Endpoint))
		var many manyInvalid
		if !errors.As(err, &many) {
			t.Fatalf("%s: %v", name, err)
		}
		if size := len(many.Error()); len(many) > maxFaults || size > maxFaults*(maxFaultField+256) {
			t.Errorf("%s: %d faults, %d bytes", name, len(many), size)
		}
	}
}

// TestItemsTakeLittleMemory: a body is read in memory that is like its own size, however many items
// it is made of.
func TestItemsTakeLittleMemory(t *testing.T) {
	for name, text := range map[string]string{
		"numbers": `{"channels":[` + strings.Repeat("1,", 500_000) + `1]}`,
		"strings": `{"channels":[` + strings.Repeat(`"",`, 300_000) + `"a"]}`,
		"names":   `{"metadata":{` + manyNames(100_000) + `"a":"b"}}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseEndpoint([]byte(text), new(webhook.Endpoint))
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; err == nil || got > itemsLimit {
			t.Errorf("%s: %v, %d bytes allocated for %d", name, err != nil, got, len(text))
		}
	}
}

func manyNames(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"%x":"",`, i)
	}
	return text.String()
}

// An offset of 24 hours, which time.Parse takes, has no text in JSON: it must not be kept in a
// time.
func TestParseResumeInUTC(t *testing.T) {
	_, at, err := parseResume([]byte(`{"from":"2026-01-31T12:00:00+24:00"}`), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := at.MarshalJSON(); err != nil {
		t.Error(err)
	}
}
