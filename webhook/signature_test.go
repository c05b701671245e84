package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// vectors are those that Standard Webhooks and Svix publish.
var vectors = []struct {
	secret, id string
	timestamp  int64
	body       string
	signature  string
}{
	{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
		`{"test": 2432232314}`, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	},
	{
		"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
		`{"email":"test@example.com","username":"test_user"}`, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
	},
}

func mustParseSecret(t testing.TB, text string) Secret {
	t.Helper()
	secret, err := ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// secretText is the text of a secret of that many bytes.
func secretText(length int) string { return Secret(bytes.Repeat([]byte{0xa7}, length)).Text() }

func TestParseSecret(t *testing.T) {
	for _, length := range []int{24, 25, 26, 32, 64, 75} {
		text := secretText(length)
		if secret := mustParseSecret(t, text); len(secret) != length || secret.Text() != text {
			t.Errorf("%s came back as %s", text, secret.Text())
		}
	}
}

func TestParseSecretRefuses(t *testing.T) {
	good := secretText(25) // ends in = and has stray bits
	digits := strings.TrimPrefix(good, secretPrefix)
	tests := map[string]struct{ text, want string }{
		"nothing":       {"", "must begin with whsec_"},
		"no prefix":     {digits, "must begin with whsec_"},
		"other prefix":  {"whsk_" + digits, "must begin with whsec_"},
		"space before":  {" " + good, "must begin with whsec_"},
		"space behind":  {good + " ", "must be base64 after whsec_"},
		"line break":    {good + "\n", "must be base64 after whsec_"},
		"break inside":  {good[:20] + "\r\n" + good[20:], "must be base64 after whsec_"},
		"URL alphabet":  {strings.Replace(good, digits[:1], "_", 1), "must be base64 after whsec_"},
		"no padding":    {strings.TrimRight(good, "="), "must be base64 after whsec_"},
		"stray bits":    {strings.Replace(good, "pw==", "px==", 1), "must be base64 after whsec_"},
		"prefix only":   {"whsec_", "24 to 75 bytes before base64, not 0"},
		"23 bytes":      {secretText(23), "24 to 75 bytes before base64, not 23"},
		"76 bytes":      {secretText(76), "24 to 75 bytes before base64, not 76"},
		"as hex digits": {"whsec_" + hex.EncodeToString(make([]byte, 64)), "not 96"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			secret, err := ParseSecret(test.text)
			var e *Error
			if secret != nil || !errors.As(err, &e) || e.Code != CodeInvalid || e.Field != "secret" {
				t.Fatalf("got %v, %#v", secret, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
			if len(digits) > 8 && strings.Contains(err.Error(), digits[:8]) {
				t.Errorf("%q repeats the secret", err)
			}
		})
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	secret := mustParseSecret(t, vectors[0].secret)
	holder := struct {
		Name   string
		Secret Secret
		List   []Secret
		Map    map[string]Secret
	}{"name", secret, []Secret{secret}, map[string]Secret{"key": secret}}
	endpoint := Endpoint{ID: NewID(sample, 7, 3), Keys: []Key{{Sealed: new(Keyring).Seal([]byte(secret.Text()), nil)}}}

	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%5.2v"} {
		for _, value := range []any{secret, &secret, holder, &holder, endpoint, &endpoint} {
			fmt.Fprintf(&shown, verb+"\n", value)
		}
	}
	fmt.Fprintln(&shown, secret, secret.String(), secret.GoString(), fmt.Errorf("failed: %v", secret))
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, level), slog.NewJSONHandler(&shown, level)} {
		log := slog.New(handler)
		log.Info("message", "secret", secret, "endpoint", endpoint, "pointer", &endpoint, slog.Group("group", "secret", secret))
		log.With("secret", secret).Info("message", "error", fmt.Errorf("failed: %v", secret))
	}

	for _, form := range []string{
		secret.Text()[len(secretPrefix):][:8],           // base64
		hex.EncodeToString(secret[:4]),                  // %x
		strings.ToUpper(hex.EncodeToString(secret[:4])), //
		"31 f2 90",             // % x
		"49 242 144",           // %d
		"0x31, 0xf2, 0x90",     // %#v
		"110001 11110010",      // %b
		"61 362 220",           // %o
		string(secret[:4]),     // %s
		`1\xf2\x90\xf6`,        // %q
		"U+0031 U+00F2",        // %U
		`"secret":"MfKQ9r8GKY`, // a record as JSON
	} {
		if strings.Contains(shown.String(), form) {
			t.Errorf("%q was shown", form)
		}
	}
	if !strings.Contains(shown.String(), "whsec_…") || !strings.Contains(shown.String(), endpoint.ID.Text(KindEndpoint)) {
		t.Errorf("neither the mark nor the id were shown: %s", shown.String())
	}
}

func TestSignatureVectors(t *testing.T) {
	for _, v := range vectors {
		secret := mustParseSecret(t, v.secret)
		got := secret.AppendSignature([]byte("before "), v.id, v.timestamp, []byte(v.body))
		if want := "before " + v.signature; string(got) != want {
			t.Errorf("%s: got %s, want %s", v.id, got, want)
		}
		err := Verify([]Secret{secret}, v.id, strconv.FormatInt(v.timestamp, 10), v.signature, []byte(v.body),
			time.Unix(v.timestamp, 0), 0)
		if err != nil {
			t.Errorf("%s: %v", v.id, err)
		}
	}
}

// request is what Verify looks at; it is right as newRequest makes it.
type request struct {
	secrets                   []Secret
	id, timestamp, signatures string
	body                      []byte
	now                       time.Time
	tolerance                 time.Duration
}

func newRequest(t testing.TB) request {
	v := vectors[0]
	return request{
		secrets: []Secret{mustParseSecret(t, v.secret)}, id: v.id, timestamp: strconv.FormatInt(v.timestamp, 10),
		signatures: v.signature, body: []byte(v.body), now: time.Unix(v.timestamp, 0), tolerance: 5 * time.Minute,
	}
}

func (r request) verify() error {
	return Verify(r.secrets, r.id, r.timestamp, r.signatures, r.body, r.now, r.tolerance)
}

func TestVerifyAccepts(t *testing.T) {
	other := mustParseSecret(t, vectors[1].secret)
	const wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	tests := map[string]func(*request){
		"as it is":            func(r *request) {},
		"second signature":    func(r *request) { r.signatures = wrong + " " + r.signatures },
		"first signature":     func(r *request) { r.signatures += " " + wrong },
		"unknown versions":    func(r *request) { r.signatures = "v1a,x v2,y v3 , " + r.signatures + " v9,z" },
		"many spaces":         func(r *request) { r.signatures = "  " + r.signatures + "  " },
		"second secret":       func(r *request) { r.secrets = []Secret{other, r.secrets[0]} },
		"first secret":        func(r *request) { r.secrets = append(r.secrets, other) },
		"oldest that may be":  func(r *request) { r.now = r.now.Add(r.tolerance) },
		"newest that may be":  func(r *request) { r.now = r.now.Add(-r.tolerance) },
		"any time, by choice": func(r *request) { r.now, r.tolerance = r.now.AddDate(290, 0, 0), math.MaxInt64 },
		"empty body": func(r *request) {
			r.body = nil
			r.signatures = string(r.secrets[0].AppendSignature(nil, r.id, vectors[0].timestamp, nil))
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRequest(t)
			change(&r)
			if err := r.verify(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	other := mustParseSecret(t, vectors[1].secret)
	const (
		mismatch = "no signature matches"
		noNumber = "webhook-timestamp is not a number of seconds: "
	)
	tests := map[string]struct {
		change func(*request)
		want   string
	}{
		"no id":            {func(r *request) { r.id = "" }, "webhook-id is missing"},
		"no timestamp":     {func(r *request) { r.timestamp = "" }, "webhook-timestamp is missing"},
		"no signature":     {func(r *request) { r.signatures = "" }, "webhook-signature is missing"},
		"date":             {func(r *request) { r.timestamp = "2021-02-25" }, noNumber + `"2021-02-25"`},
		"fraction":         {func(r *request) { r.timestamp += ".5" }, noNumber + `"1614265330.5"`},
		"number too large": {func(r *request) { r.timestamp = "9223372036854775808" }, noNumber},
		"long garbage":     {func(r *request) { r.timestamp = strings.Repeat("x", 1000) }, `"` + strings.Repeat("x", 40) + `"`},
		"too old": {
			func(r *request) { r.now = r.now.Add(7 * time.Minute) },
			"the timestamp is 7m0s old, more than the 5m0s allowed",
		},
		"too new": {
			func(r *request) { r.now = r.now.Add(-7 * time.Minute) },
			"the timestamp is 7m0s in the future, more than the 5m0s allowed",
		},
		"just too old": {func(r *request) { r.now = r.now.Add(r.tolerance + time.Millisecond) }, "is 5m0.001s old"},
		"just too new": {
			func(r *request) { r.now = r.now.Add(-r.tolerance - time.Millisecond) },
			"is 5m0.001s in the future",
		},
		"no tolerance":     {func(r *request) { r.now, r.tolerance = r.now.Add(time.Second), 0 }, "is 1s old"},
		"milliseconds":     {func(r *request) { r.timestamp += "000" }, "webhook-timestamp is 1614265330000: that looks like milliseconds"},
		"just below a day": {func(r *request) { r.now = r.now.Add(24*time.Hour - time.Second) }, "is 23h59m59s old"},
		"a day old": {
			func(r *request) { r.now = r.now.Add(24 * time.Hour) },
			"the timestamp is 2021-02-25 15:02:10 UTC, more than the 5m0s allowed before now",
		},
		"the year one": {
			func(r *request) { r.timestamp, r.tolerance = "-62135596800", 0 },
			"the timestamp is 0001-01-01 00:00:00 UTC, more than the 0s allowed before now",
		},
		"far future, zero": {
			func(r *request) { r.timestamp, r.tolerance = "99999999999", 0 },
			"the timestamp is 5138-11-16 09:46:39 UTC, more than the 0s allowed after now: is this clock right?",
		},
		"only v1a":         {func(r *request) { r.signatures = "v1a,x" }, "holds no signature of version v1"},
		"no version":       {func(r *request) { r.signatures = r.signatures[3:] }, "holds no signature of version v1"},
		"version in vain":  {func(r *request) { r.signatures = "v1 v1a,v1," }, "holds no signature of version v1"},
		"only spaces":      {func(r *request) { r.signatures = "  " }, "holds no signature of version v1"},
		"no secret":        {func(r *request) { r.secrets = nil }, "no secret to verify with"},
		"empty secret":     {func(r *request) { r.secrets = []Secret{{}} }, "24 to 75 bytes before base64, not 0"},
		"other secret":     {func(r *request) { r.secrets = []Secret{other} }, mismatch},
		"other body":       {func(r *request) { r.body = append(r.body, ' ') }, mismatch},
		"no body":          {func(r *request) { r.body = nil }, mismatch},
		"other id":         {func(r *request) { r.id += "x" }, mismatch},
		"other timestamp":  {func(r *request) { r.timestamp = "1614265331" }, mismatch},
		"empty signature":  {func(r *request) { r.signatures = "v1," }, mismatch},
		"cut signature":    {func(r *request) { r.signatures = r.signatures[:40] }, mismatch},
		"longer signature": {func(r *request) { r.signatures += "=" }, mismatch},
		"signature as v2":  {func(r *request) { r.signatures = "v2" + r.signatures[2:] + " v1,x" }, mismatch},
		"signature as hex": {func(r *request) { r.signatures = "v1," + hexOf(r.signatures[3:]) }, mismatch},
		"in upper case":    {func(r *request) { r.signatures = "v1," + strings.ToUpper(r.signatures[3:]) }, mismatch},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRequest(t)
			test.change(&r)
			err := r.verify()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func hexOf(text string) string {
	sum, _ := base64.StdEncoding.DecodeString(text)
	return hex.EncodeToString(sum)
}

// No change to a signed request may pass, and no input may panic.
func FuzzVerify(f *testing.F) {
	r := newRequest(f)
	f.Add(r.id, r.timestamp, r.signatures, r.body)
	f.Add(r.id, r.timestamp, "v1a,x "+r.signatures+" v1,", r.body)
	f.Add("id", "-9223372036854775808", "v1,", []byte(nil))
	f.Add("id", "9223372036854775807", " v1,x", []byte("{}"))
	f.Fuzz(func(t *testing.T, id, timestamp, signatures string, body []byte) {
		err := Verify(r.secrets, id, timestamp, signatures, body, r.now, r.tolerance)
		seconds, _ := strconv.ParseInt(timestamp, 10, 64)
		genuine := id == r.id && seconds == vectors[0].timestamp && bytes.Equal(body, r.body)
		listed := strings.Contains(" "+signatures+" ", " "+r.signatures+" ")
		if (err == nil) != (genuine && listed) {
			t.Errorf("id %q, timestamp %q, signatures %q, body %q: %v", id, timestamp, signatures, body, err)
		}
	})
}

func BenchmarkAppendSignature(b *testing.B) {
	secret := mustParseSecret(b, vectors[0].secret)
	body := make([]byte, 1024)
	var dst []byte
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		dst = secret.AppendSignature(dst[:0], vectors[0].id, vectors[0].timestamp, body)
	}
}
