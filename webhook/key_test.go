package webhook

import (
	"slices"
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
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: []Capability{ViewBase}, SessionID: "s-1"}, ""},
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: Capabilities}, ""},
		{APIKey{Name: "k", Role: RoleAdmin, Capabilities: []Capability{ViewBase}}, "capabilities"},
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: []Capability{CreateAttempts}}, "capabilities"},
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: []Capability{ViewBase, "Everything"}}, "capabilities"},
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: []Capability{ViewBase, ManageEndpoint}}, "capabilities"},
		{APIKey{Name: "k", Role: RoleApplication, App: app, Capabilities: []Capability{ViewBase, ViewBase}}, "capabilities"},
		{APIKey{Name: "k", Role: RoleReader, SessionID: "s"}, "sessionId"},
		{APIKey{Name: "k", Role: RoleApplication, App: app, SessionID: "a b"}, "sessionId"},
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

// A list is completed once, when a key is made, so that what is stored says what a key may do.
func TestCompleteCapabilities(t *testing.T) {
	for _, test := range []struct{ list, want []Capability }{
		{nil, nil},
		{[]Capability{ViewBase, ViewBase}, []Capability{ViewBase}},
		{[]Capability{ManageEndpoint, ViewBase}, []Capability{ViewBase, ViewEndpointSecret, ManageEndpointSecret, ManageEndpoint}},
		{[]Capability{ViewBase, ManageEndpointSecret}, []Capability{ViewBase, ViewEndpointSecret, ManageEndpointSecret}},
		{[]Capability{"x", "y", ViewBase}, []Capability{ViewBase, "x"}},
	} {
		if got := CompleteCapabilities(test.list); !slices.Equal(got, test.want) {
			t.Errorf("%q becomes %q, want %q", test.list, got, test.want)
		}
	}
}

func TestCan(t *testing.T) {
	full, viewing := APIKey{}, APIKey{Capabilities: []Capability{ViewBase}}
	for _, c := range Capabilities {
		if !full.Can(c) || viewing.Can(c) != (c == ViewBase) {
			t.Errorf("%s: %t with all, %t with ViewBase", c, full.Can(c), viewing.Can(c))
		}
	}
	if full.ReadOnly() || !viewing.ReadOnly() {
		t.Error("only the key that may view is read-only")
	}
}
