package httpapi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// walkSeeds are texts with what a walk may stumble over.
var walkSeeds = []string{``, ` `, `{}`, `[]`, ` { } `, `[1,]`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{a:1}`, `[1 2]`, `[}`, `{]`, `[[]`, `[]]`, `{}{}`, `1`, `-`, `-0`, `01`, `1.`, `.5`, `1e`, `1e+`, `1E-7`, `-1.5e10`, `+1`,
	`true`, `tru`, `trueX`, `nul`, `"`, `"\`, `"\"`, `"\u12"`, `"\u12G4"`, `"\ud800"`, `"\x"`, "\"\x1f\"", "\"\x7f\"", "\"é\xff\"", "\"\xed\xa0\x80\"", `"12345678"`, `"1234567\""`, "\"1234567\xc3\xa9 \"", "\"!! !\x1f!!\"",
	"\xef\xbb\xbf{}", "{}\x00", "\x00", `{"a":[{"b":"c\\"},[[]],null,-1.0e5,"é"],"x":{"y":{}}}`, `{"eventType":"a","payload":{"x":"` + strings.Repeat("y", 50) + `\n"}}`,
	strings.Repeat("[", 512) + strings.Repeat("]", 512), strings.Repeat("[", 513) + strings.Repeat("]", 513), strings.Repeat(`{"a":[`, 256) + strings.Repeat("]}", 256), strings.Repeat(`[{"a":`, 256) + "1" + strings.Repeat("]}", 256)}

// FuzzWalk compares with encoding/json, and with the parts that each check one thing.
func FuzzWalk(f *testing.F) {
	for _, seed := range walkSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := isJSON(text)
		if want := utf8.Valid(text) && !tooDeep(text) && json.Valid(text); got != want {
			t.Errorf("%q is valid: %t, want %t", text, got, want)
		}
		if got && !gjson.ValidBytes(text) {
			t.Errorf("%q is not valid to gjson", text)
		}
	})
}

// FuzzPlain compares with one character at a time.
func FuzzPlain(f *testing.F) {
	for _, seed := range walkSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := 0
		for want < len(text) && text[want] >= ' ' && text[want] != '"' && text[want] != '\\' {
			want++
		}
		w := walk{text: text}
		w.plain()
		wide := strings.ContainsFunc(string(text[:want]), func(r rune) bool { return r >= utf8.RuneSelf })
		if w.at != want || wide && w.seen&tops == 0 {
			t.Errorf("%q: %d, want %d; beyond ASCII: %t", text, w.at, want, wide)
		}
	})
}

// FuzzMessageFields compares the fields of a message that is read in place with those of a copy.
func FuzzMessageFields(f *testing.F) {
	for _, seed := range walkSeeds {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{`{"eventType":"\u0061.b","eventId":"e","channels":["x","x","y"],"tags":["\n"],"payload":{"a": 1},"payload":{ }}`,
		`{"eventType":"a","transformationsParams":{"rawPayload":"<x\u00e9>","headers":{"Content-Type":"text/xml"}},"orderingKey":"k","deliverAt":"2026-12-01T00:00:00Z"}`,
		`{"eventType":5,"payload":[],"channels":[1,{}],"tags":7,"payloadRetentionHours":1.5,"transformationsParams":[],"application":{"name":5}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseMessage(text)
		b, copied := parseBody(text)
		if copied != nil {
			if err == nil || err.Error() != copied.Error() {
				t.Fatalf("%q: %v, want %v", text, err, copied)
			}
			return
		}
		want, wantErr := b.message(text)
		if !reflect.DeepEqual(m, want) || (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Errorf("%q: %+v %v, want %+v %v", text, m, err, want, wantErr)
		}
	})
}

func BenchmarkParseMessage(b *testing.B) {
	for name, text := range map[string]string{
		"string": `{"eventType":"bench.event","payload":{"event":"0000000042","sent":"1763913600000000000","pad":"` + strings.Repeat("aB3_", 240) + `"}}`,
		"fields": `{"eventType":"invoice.paid","payload":{` + strings.TrimSuffix(strings.Repeat(`"customer":"cus_1234567890","amount":1299,"ok":true,`, 20), ",") + `}}`,
		"words":  `{"eventType":"invoice.paid","payload":{"text":"` + strings.Repeat("Größe, наименование, 大きさ; ", 25) + `"}}`,
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(text)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for range b.N {
				if _, err := parseMessage(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
