package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hexMAC is written apart from the code under test, as GitHub's and Stripe's manuals describe it.
func hexMAC(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

var (
	newSecret, oldSecret = Secret(strings.Repeat("n", 24)), Secret(strings.Repeat("o", 24))
	styleBody            = []byte(`{"a": "ü\n"}`)
)

const styleTime = 1_790_000_000

func TestStylesAgainstTheirManuals(t *testing.T) {
	body, first, second := string(styleBody), newSecret.Text(), oldSecret.Text()
	timed := fmt.Sprintf("%d.%s", styleTime, body)
	for style, want := range map[SignatureStyle]string{
		StyleStandard: "",
		StyleGitHub:   "sha256=" + hexMAC(first, body),
		StyleStripe:   fmt.Sprintf("t=%d,v1=%s,v1=%s", styleTime, hexMAC(first, timed), hexMAC(second, timed)),
		StyleHex:      hexMAC(first, body),
	} {
		if got := style.Sign([]SigningKey{SymmetricKey(newSecret), SymmetricKey(oldSecret)}, styleTime, styleBody); got != want {
			t.Errorf("%s: %s, want %s", style, got, want)
		}
	}
}

// TestGitHubExample is the example in GitHub's manual, "Validating webhook deliveries": its key is
// no secret of ours, but the sum is made in the same way.
func TestGitHubExample(t *testing.T) {
	const want = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if got := hexMAC("It's a Secret to Everybody", "Hello, World!"); got != want {
		t.Errorf("%s", got)
	}
}

func TestStylesVerify(t *testing.T) {
	now := time.Unix(styleTime+60, 0)
	for _, style := range []SignatureStyle{StyleGitHub, StyleStripe, StyleHex} {
		header := style.Sign([]SigningKey{SymmetricKey(newSecret), SymmetricKey(oldSecret)}, styleTime, styleBody)
		verify := func(secret Secret, header, body string) error {
			return style.Verify(sharedKey(secret), header, []byte(body), now, 5*time.Minute)
		}
		if err := verify(newSecret, header, string(styleBody)); err != nil {
			t.Errorf("%s: %v", style, err)
		}
		if err := verify(oldSecret, header, string(styleBody)); (err == nil) != (style == StyleStripe) {
			t.Errorf("%s with the older secret: %v", style, err)
		}
		for name, err := range map[string]error{
			"other secret": verify(Secret(strings.Repeat("x", 24)), header, string(styleBody)),
			"other body":   verify(newSecret, header, string(styleBody)+" "),
		} {
			if !errors.Is(err, errNoMatch) {
				t.Errorf("%s, %s: %v", style, name, err)
			}
		}
		if err := verify(newSecret, "", string(styleBody)); err == nil || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("%s without a header: %v", style, err)
		}
		if err := verify(newSecret, "nonsense", string(styleBody)); err == nil {
			t.Errorf("%s: nonsense passes", style)
		}
	}
	header := StyleStripe.Sign([]SigningKey{SymmetricKey(newSecret)}, styleTime, styleBody)
	if err := StyleStripe.Verify(sharedKey(newSecret), header, styleBody, now.Add(time.Hour), 5*time.Minute); err == nil || !strings.Contains(err.Error(), "old") {
		t.Errorf("an old timestamp: %v", err)
	}
}

func TestVerifyKey(t *testing.T) {
	seed := []byte(strings.Repeat("s", 32))
	asymmetric, symmetric := AsymmetricKey(seed), SymmetricKey(newSecret)
	now := time.Unix(styleTime, 0)
	both := string(asymmetric.AppendSignature(symmetric.AppendSignature([]byte{}, "msg_1", styleTime, styleBody), "msg_1", styleTime, styleBody))
	both = strings.Replace(both, "v1a,", " v1a,", 1) // v1 and v1a side by side, as during a rotation
	timestamp := fmt.Sprint(styleTime)
	tests := []struct {
		name, key, signatures, body string
		want                        string // in the error; empty: passes
	}{
		{"v1", symmetric.Text(), both, string(styleBody), ""},
		{"v1a", asymmetric.PublicText(), both, string(styleBody), ""},
		{"v1a by the private key", asymmetric.Text(), both, string(styleBody), ""},
		{"v1a, other body", asymmetric.PublicText(), both, "{}", "no signature matches"},
		{"v1a, other key", AsymmetricKey([]byte(strings.Repeat("t", 32))).PublicText(), both, string(styleBody), "no signature matches"},
		{"v1a, only v1 there", asymmetric.PublicText(), strings.Fields(both)[0], string(styleBody), "no signature of version v1a"},
		{"v1a, damaged", asymmetric.PublicText(), "v1a,!", string(styleBody), "no signature matches"},
		{"v1, only v1a there", symmetric.Text(), strings.Fields(both)[1], string(styleBody), "no signature of version v1"},
	}
	for _, test := range tests {
		key, err := ParseVerifyKey(test.key)
		if err != nil {
			t.Fatal(test.name, err)
		}
		err = key.Verify("msg_1", timestamp, test.signatures, []byte(test.body), now, time.Minute)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	for _, text := range []string{"", "whpk_", "whpk_AAAA", "whpk_" + strings.Repeat("A", 43), "whsec_AAAA", "secret"} {
		if _, err := ParseVerifyKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}

// The third vector of the Standard Webhooks libraries: made by others, for v1a.
func TestVerifyKeyVector(t *testing.T) {
	key, err := ParseVerifyKey("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=")
	if err != nil {
		t.Fatal(err)
	}
	err = key.Verify("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
		[]byte(`{"test": 2432232314}`), time.Unix(1614265330, 0), time.Minute)
	if err != nil {
		t.Error(err)
	}
}

func sharedKey(secret Secret) VerifyKey { return VerifyKey{shared: SymmetricKey(secret)} }

// A receiver written for another sender keeps the secret it has: any text of 16 bytes or more is
// the key itself.
func TestPlainTextSecrets(t *testing.T) {
	for _, text := range []string{"my-shared-secret", "It's a Secret to Everybody", strings.Repeat("x", 512), "gehört-nicht-dazu", "0123456789abcdef"} {
		key, err := ParseSigningKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if key.Text() != text || key.PublicText() != text || key.IsAsymmetric() || fmt.Sprintf("%+v %#v %x", key, key, key) != "… … …" {
			t.Errorf("%s: %s", text, key.Text())
		}
		if key.Fits(StyleStandard) == nil {
			t.Errorf("%s signs as Standard Webhooks", text)
		}
		verify, err := ParseVerifyKey(text)
		if err != nil || verify.Fits(StyleStandard) == nil {
			t.Errorf("%s: %v", text, err)
		}
		for _, style := range []SignatureStyle{StyleGitHub, StyleStripe, StyleHex} {
			header := style.Sign([]SigningKey{key}, styleTime, styleBody)
			if err := errors.Join(key.Fits(style), verify.Fits(style), style.Verify(verify, header, styleBody, time.Unix(styleTime, 0), time.Minute)); err != nil {
				t.Errorf("%s, %s: %v", text, style, err)
			}
			if style == StyleHex && header != hexMAC(text, string(styleBody)) {
				t.Errorf("%s: %s", text, header)
			}
		}
	}
	for _, text := range []string{"fifteen letters", strings.Repeat("x", 513), "line\nbreak in the secret", "whsec_not-base64-at-all", vectorPublic, "a\xffaaaaaaaaaaaaaaaaaa"} {
		if _, err := ParseSigningKey(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
