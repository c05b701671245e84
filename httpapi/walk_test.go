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
		found, got := parseFields(text)
		if want := utf8.Valid(text) && !tooDeep(text) && json.Valid(text); got != want {
			t.Errorf("%q is valid: %t, want %t", text, got, want)
		}
		if got && !gjson.ValidBytes(text) {
			t.Errorf("%q is not valid to gjson", text)
		}
		if got {
			checkFields(t, text, found)
		}
	})
}

// checkFields compares the places of fields with what gjson finds.
func checkFields(t *testing.T, text []byte, found fields) {
	t.Helper()
	count := 0
	if object := gjson.ParseBytes(text); object.IsObject() {
		object.ForEach(func(name, value gjson.Result) bool {
			if count++; count <= maxFields {
				f := &found.list[count-1]
				if f.name.of(string(text)) != name.Raw || f.value.of(string(text)) != value.Raw || int(f.value.start) != value.Index {
					t.Errorf("%q: field %d is at %+v, want %s: %s at %d", text, count, *f, name.Raw, value.Raw, value.Index)
				}
			}
			return true
		})
	}
	if found.count != count {
		t.Errorf("%q has %d fields, want %d", text, found.count, count)
	}
}

// FuzzPlain compares with one character at a time.
func FuzzPlain(f *testing.F) {
	for _, seed := range walkSeeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := 0
		for want < len(text) && text[want] >= ' ' && text[want] < utf8.RuneSelf && text[want] != '"' && text[want] != '\\' {
			want++
		}
		if got := plain(text, 0); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	})
}

// FuzzWide compares with unicode/utf8.
func FuzzWide(f *testing.F) {
	for _, seed := range []string{"é", "éa", "é\xff", "\xc1\x80", "\xc3", "\xc3(", "\xe0\x80\x80", "大きさ;", "\xed\xa0\x80", "😀é", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xef\xbf\xbd", "\x80"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := 0
		for want < len(text) && text[want] >= utf8.RuneSelf {
			want++
		}
		if !utf8.Valid(text[:want]) {
			want = 0
		}
		if got := wide(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	})
}

// FuzzMessageFields compares a message whose fields were found by the walk with one whose fields
// gjson finds.
func FuzzMessageFields(f *testing.F) {
	for _, seed := range walkSeeds {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{` {"eventType" : "a" , "payload" : {"a":1} , "\u0074ags":["x"],"\ud800":1,"channels":[],"eventId":null,"orderingKey":"","deliverAt":null,"payload":{"last":[{}]} } `,
		`{"eventType":"\u0061.b","eventId":"e","channels":["x","x","y"],"tags":["\n"],"payload":{"a": 1},"payload":{ }}`,
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
		b.fields.count = maxFields + 1 // so that it has gjson look
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
