package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	oldConfigured = "an old key of at least 32 characters"
	newConfigured = "a new key of at least 32 characters, too"
)

func keyring(t *testing.T, configured ...string) *Keyring {
	t.Helper()
	k, err := NewKeyring(configured)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func nonce(b byte) []byte { return bytes.Repeat([]byte{b}, SealNonceSize) }

func TestSealAndOpen(t *testing.T) {
	secret := []byte("whsec_secret")
	plain, before, both, after := keyring(t), keyring(t, oldConfigured), keyring(t, newConfigured, oldConfigured), keyring(t, newConfigured)
	for name, test := range map[string]struct {
		seals, opens *Keyring
		current      bool
		err          error
	}{
		"without keys":           {plain, plain, true, nil},
		"plain, before a key":    {plain, before, false, nil},
		"one key":                {before, before, true, nil},
		"a new key in front":     {before, both, false, nil},
		"sealed by the new one":  {both, both, true, nil},
		"the old one is out":     {both, after, true, nil},
		"too early":              {before, after, false, ErrSealKey},
		"all keys are taken out": {before, plain, false, ErrSealKey},
	} {
		t.Run(name, func(t *testing.T) {
			sealed := test.seals.Seal(secret, nonce(7))
			opened, err := test.opens.Open(sealed)
			if !errors.Is(err, test.err) || err == nil && !bytes.Equal(opened, secret) {
				t.Errorf("opened %q, %v; want %v", opened, err, test.err)
			}
			if current := test.opens.IsCurrent(sealed); current != test.current {
				t.Errorf("current: %v", current)
			}
			if test.seals != plain && bytes.Contains(sealed, secret[6:]) {
				t.Error("the sealed text contains the secret")
			}
		})
	}
}

// Whatever is changed or cut is found out, and never opened as something else.
func TestDamagedSeal(t *testing.T) {
	k := keyring(t, newConfigured)
	sealed := k.Seal([]byte("whsec_secret"), nonce(7))
	for i := range sealed {
		for _, damaged := range []Sealed{append(append(bytes.Clone(sealed[:i]), sealed[i]^4), sealed[i+1:]...), sealed[:i]} {
			if opened, err := k.Open(damaged); err == nil {
				t.Errorf("byte %d: opened as %q", i, opened)
			}
		}
	}
	other := k.Seal([]byte("whsec_secret"), nonce(8))
	if bytes.Equal(sealed, other) {
		t.Error("two nonces, one text")
	}
}

func TestSealedHidesItself(t *testing.T) {
	sealed := keyring(t).Seal([]byte("whsec_secret"), nil)
	e := Endpoint{Keys: []Key{{Sealed: sealed}}, Headers: sealed}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, e); strings.Contains(text, "whsec") || strings.Contains(text, "7768736563") {
			t.Errorf("%s shows it: %s", verb, text)
		}
	}
}
