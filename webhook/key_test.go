package webhook

import (
	"testing"
	"time"
)

func FuzzParseToken(f *testing.F) {
	key := APIKey{ID: NewID(1_790_000_000_000, 7, 0)}
	f.Add(key.Token("secret"))
	f.Add(key.Token(""))
	f.Add("hwk_")
	f.Fuzz(func(t *testing.T, token string) {
		id, secret, valid := ParseToken(token)
		if valid && (&APIKey{ID: id}).Token(secret) != token {
			t.Errorf("%q is read as %s and %q", token, id.Text(KindAPIKey), secret)
		}
	})
}

func TestAPIKeyValidate(t *testing.T) {
	app := NewID(1_790_000_000_000, 7, 0)
	for _, test := range []struct {
		key   APIKey
		field string
	}{
		{APIKey{Name: "k", Role: RoleAdmin}, ""},
		{APIKey{Name: "k", Role: RoleApplication, App: app}, ""},
		{APIKey{Role: RoleAdmin}, "name"},
		{APIKey{Name: "k"}, "role"},
		{APIKey{Name: "k", Role: RoleApplication}, "app"},
		{APIKey{Name: "k", Role: RoleReader, App: app}, "app"},
		{APIKey{Name: "k", Role: RoleAdmin, ReadOnly: true}, "readOnly"},
		{APIKey{Name: "k", Role: RoleReader, FeatureFlags: []string{"a b"}}, "featureFlags"},
	} {
		err := test.key.Validate()
		if test.field == "" && err == nil {
			continue
		}
		if e, is := err.(*Error); !is || e.Field != test.field {
			t.Errorf("%+v: %v, want a fault of %q", test.key, err, test.field)
		}
	}
}

func TestAPIKeyExpires(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	key := APIKey{ExpiresAt: at}
	if key.Expired(at.Add(-1)) || !key.Expired(at) || new(APIKey).Expired(at) {
		t.Error("a key must be valid until it expires, and permanently without an expiry")
	}
}
