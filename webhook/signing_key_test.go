package webhook

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// The vectors of Standard Webhooks: the private key, the public one, and what it signs.
const (
	vectorPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	vectorSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTime    = 1614265330
	vectorBody    = `{"test": 2432232314}`
)

func TestSigningKeys(t *testing.T) {
	for text, want := range map[string]struct {
		public, signature string
		asymmetric        bool
	}{
		vectorPrivate: {vectorPublic, "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==", true},
		vectorSecret:  {vectorSecret, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", false},
	} {
		key, err := ParseSigningKey(text)
		if err != nil {
			t.Fatal(err)
		}
		if key.Text() != text || key.PublicText() != want.public || key.IsAsymmetric() != want.asymmetric {
			t.Errorf("%s: %s, %s", text, key.Text(), key.PublicText())
		}
		if got := string(key.AppendSignature([]byte("x "), vectorID, vectorTime, []byte(vectorBody))); got != "x "+want.signature {
			t.Errorf("signs %s, want %s", got, want.signature)
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if shown := fmt.Sprintf(verb, key); shown != "…" {
				t.Errorf("%s shows %s", verb, shown)
			}
		}
	}
}

func TestAsymmetricKeyOfSeed(t *testing.T) {
	key := AsymmetricKey(bytes.Repeat([]byte{7}, 32))
	again, err := ParseSigningKey(key.Text())
	if err != nil || again.Text() != key.Text() || !again.IsAsymmetric() {
		t.Error(again.Text(), err)
	}
}

func TestBadSigningKeys(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":     "",
		"public half": vectorPublic,
		"short":       vectorPrivate[:60],
		"line break":  vectorPrivate + "\n",
		"not base64":  "whsk_" + strings.Repeat("!", 88),
		"other half":  "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfWKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
	} {
		if _, err := ParseSigningKey(text); err == nil {
			t.Errorf("%s is taken", name)
		} else if len(text) > 10 && strings.Contains(err.Error(), text[5:]) {
			t.Errorf("%s: the error repeats it: %v", name, err)
		}
	}
}
