package httpapi_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

const jwtSecret = "a secret that signs tokens"

type authKey struct {
	ID, Name, Role, Token, URL string
	ApplicationID              *string
	SessionID                  *string
	FeatureFlags, Capabilities []string
	ReadOnly                   bool
	ExpiresAt, LastUsed        *time.Time
}

// as makes a request with a token and returns its status.
func (a *api) as(token, method, path, body string) int {
	a.t.Helper()
	response, _ := a.raw(method, "/api/v1"+path, "Bearer "+token, []byte(body))
	return response.StatusCode
}

func (a *api) newKey(body string) (key authKey) {
	a.t.Helper()
	a.call("POST", "/key", body, 201, &key)
	if !strings.HasPrefix(key.Token, "hwk_") || !strings.HasPrefix(key.ID, "key_") {
		a.t.Fatalf("%+v", key)
	}
	return key
}

// authWorld is two applications, the first with an endpoint and a message, and a token of each
// role.
func authWorld(t *testing.T, changes ...func(*config.Config)) (a *api, apps [2]apiThing, endpoint, msg apiThing) {
	t.Helper()
	a = apiStart(t, append(changes, func(c *config.Config) { c.API.JWTSecret = jwtSecret })...)
	for i, uid := range []string{"one", "two"} {
		a.call("POST", "/app", `{"name":"a","uid":"`+uid+`"}`, 201, &apps[i])
	}
	a.call("POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, &endpoint)
	a.call("POST", "/app/one/msg", `{"eventType":"a","payload":{}}`, 202, &msg)
	return a, apps, endpoint, msg
}

func TestRoles(t *testing.T) {
	a, apps, endpoint, msg := authWorld(t)
	token := map[string]string{"root": apiToken, "nobody": "0123456789abcdeF", "none": ""}
	for _, role := range []string{"admin", "producer", "reader"} {
		token[role] = a.newKey(`{"name":"k","role":"` + role + `"}`).Token
	}
	token["own"] = a.newKey(`{"name":"k","role":"application","applicationId":"one"}`).Token
	token["own, reading"] = a.newKey(`{"name":"k","role":"application","applicationId":"` + apps[0].ID + `","readOnly":true}`).Token
	token["other"] = a.newKey(`{"name":"k","role":"application","applicationId":"two"}`).Token
	token["cut"] = token["admin"][:len(token["admin"])-1]

	const no, hidden, refused = 401, 404, 403
	for _, test := range []struct {
		method, path, body string
		status             map[string]int // of callers not listed: 403, or 401 without a valid token
	}{
		{"GET", "/app", "", map[string]int{"root": 200, "admin": 200, "reader": 200}},
		{"POST", "/app?get_if_exists=true", `{"name":"a","uid":"one"}`, map[string]int{"root": 200, "admin": 200, "producer": 200}},
		{"GET", "/app/one", "", map[string]int{"root": 200, "admin": 200, "reader": 200, "own": 200, "own, reading": 200, "other": hidden}},
		{"GET", "/app/" + apps[0].ID, "", map[string]int{"root": 200, "admin": 200, "reader": 200, "own": 200, "own, reading": 200, "other": hidden}},
		{"POST", "/app/one/msg", `{"eventType":"a","payload":{}}`, map[string]int{"root": 202, "admin": 202, "producer": 202}},
		{"GET", "/app/one/msg/" + msg.ID, "", map[string]int{"root": 200, "admin": 200, "reader": 200, "own": 200, "own, reading": 200, "other": hidden}},
		{"POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`, map[string]int{"root": 201, "admin": 201, "own": 201, "other": hidden}},
		{"GET", "/app/one/endpoint/" + endpoint.ID + "/secret", "", map[string]int{"root": 200, "admin": 200, "own": 200, "other": hidden}},
		{"GET", "/cluster", "", map[string]int{"root": 200, "admin": 200, "reader": 200}},
		{"GET", "/key", "", map[string]int{"root": 200, "admin": 200}},
		{"POST", "/auth/app-portal-access/one", "", map[string]int{"root": 200, "admin": 200}},
		{"GET", "/auth/whoami", "", map[string]int{"root": 200, "admin": 200, "producer": 200, "reader": 200, "own": 200, "own, reading": 200, "other": 200}},
	} {
		for who, t1 := range token {
			want, named := test.status[who]
			switch {
			case named:
			case who == "nobody" || who == "none" || who == "cut":
				want = no
			default:
				want = refused
			}
			if got := a.as(t1, test.method, test.path, test.body); got != want {
				t.Errorf("%s: %s %s: %d, want %d", who, test.method, test.path, got, want)
			}
		}
	}
	_, text := a.raw("GET", "/api/v1/key", "Bearer "+token["reader"], nil)
	if !strings.Contains(string(text), `"code":"insufficient access"`) {
		t.Errorf("%s", text)
	}
	if response, _ := a.raw("GET", "/api/v1/app", "Basic "+token["admin"], nil); response.StatusCode != 401 {
		t.Error(response.Status)
	}
}

// Keys are shown without their tokens, and are good until they are revoked or have expired.
func TestKeysOfAPI(t *testing.T) {
	a, apps, _, _ := authWorld(t)
	key := a.newKey(`{"name":"shop","role":"application","applicationId":"one","featureFlags":["beta"],"expiry":3600}`)
	var list struct{ Data []authKey }
	a.call("GET", "/key", "", 200, &list)
	if len(list.Data) != 1 || list.Data[0].Token != "" || list.Data[0].Name != "shop" || *list.Data[0].ApplicationID != apps[0].ID ||
		list.Data[0].ExpiresAt == nil || time.Until(*list.Data[0].ExpiresAt) > time.Hour {
		t.Errorf("%+v", list)
	}
	var me authKey
	response, text := a.raw("GET", "/api/v1/auth/whoami", "Bearer "+key.Token, nil)
	if err := json.Unmarshal(text, &me); err != nil || response.StatusCode != 200 || me.ID != key.ID || me.FeatureFlags[0] != "beta" || me.Token != "" {
		t.Errorf("%s %s %v", response.Status, text, err)
	}
	a.call("GET", "/key/"+key.ID, "", 200, &me)
	a.call("DELETE", "/key/"+key.ID, "", 204, nil)
	a.call("DELETE", "/key/"+key.ID, "", 404, nil)
	a.call("GET", "/key/"+key.ID, "", 404, nil)
	a.call("DELETE", "/key/nonsense", "", 404, nil)
	if got := a.as(key.Token, "GET", "/app/one", ""); got != 401 {
		t.Errorf("a revoked key got %d", got)
	}
	for _, bad := range []struct{ body, loc string }{
		{`{"name":"k"}`, "role"}, {`{"name":"k","role":"king"}`, "role"}, {`{"name":"","role":"admin"}`, "name"},
		{`{"name":"k","role":"application"}`, "app"}, {`{"name":"k","role":"admin","applicationId":"one"}`, "app"},
		{`{"name":"k","role":"admin","expiry":1}`, "expiry"}, {`{"name":"k","role":"admin","expiry":3600.5}`, "expiry"}, {`{"name":7,"role":"admin"}`, "name"},
	} {
		response, text := a.raw("POST", "/api/v1/key", "Bearer "+apiToken, []byte(bad.body))
		if response.StatusCode != 422 || !strings.Contains(string(text), `["body","`+bad.loc) {
			t.Errorf("%s: %s %s", bad.body, response.Status, text)
		}
	}
	a.call("POST", "/key", `{"name":"k","role":"application","applicationId":"nobody"}`, 404, nil)
}

// A token that was asked for twice with one idempotency key is one token.
func TestKeyOfRepeatedRequest(t *testing.T) {
	a, _, _, _ := authWorld(t)
	status, first := a.postOnce("/key", "k", `{"name":"k","role":"reader"}`)
	again, second := a.postOnce("/key", "k", `{"name":"k","role":"reader"}`)
	_, third := a.postOnce("/key", "k2", `{"name":"k","role":"reader"}`)
	if status != 201 || again != 201 || first != second || first == third {
		t.Errorf("%s\n%s\n%s", first, second, third)
	}
	var key authKey
	if err := json.Unmarshal([]byte(second), &key); err != nil || a.as(key.Token, "GET", "/app", "") != 200 {
		t.Errorf("%s %v", second, err)
	}
}

func TestPortalAccess(t *testing.T) {
	a, apps, endpoint, _ := authWorld(t)
	var full, reading, old authKey
	a.call("POST", "/auth/app-portal-access/one", `{"featureFlags":["beta"],"expiry":3600,"sessionId":"s"}`, 200, &full)
	a.call("POST", "/auth/app-portal-access/one", `{"capabilities":["ViewBase","CreateAttempts"]}`, 200, &reading)
	a.call("POST", "/auth/dashboard-access/one", "", 200, &old)
	var fragment struct{ AppID, Token string } // in Svix's form
	encoded, is := strings.CutPrefix(full.URL, a.url+"/portal#key=")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if !is || err != nil || json.Unmarshal(text, &fragment) != nil || fragment.AppID != apps[0].ID || fragment.Token != full.Token {
		t.Errorf("%s: %s %v", full.URL, text, err)
	}
	secret := "/app/one/endpoint/" + endpoint.ID + "/secret"
	for who, test := range map[string]struct {
		token string
		want  int
	}{"full": {full.Token, 200}, "reading": {reading.Token, 403}, "old": {old.Token, 200}} {
		if got := a.as(test.token, "GET", secret, ""); got != test.want {
			t.Errorf("%s: %d, want %d", who, got, test.want)
		}
		if got := a.as(test.token, "GET", "/app/one", ""); got != 200 {
			t.Errorf("%s: %d", who, got)
		}
	}
	for body, want := range map[string]int{`{"expiry":3599}`: 422, `{"expiry":604801}`: 422, `{"readOnly":1}`: 422, `[]`: 422, `{"expiry":604800}`: 200, `{}`: 200} {
		a.call("POST", "/auth/app-portal-access/one", body, want, nil)
	}
	a.call("POST", "/auth/app-portal-access/nobody", "{}", 404, nil)
	var made authKey
	a.call("POST", "/auth/app-portal-access/new", `{"application":{"name":"New","uid":"new"}}`, 200, &made)
	if got := a.as(made.Token, "GET", "/app/new", ""); got != 200 {
		t.Errorf("of an application that was made along with its token: %d", got)
	}
	a.call("POST", "/auth/app-portal-access/other", `{"application":{"name":"New","uid":"another"}}`, 422, nil)

	if got := a.as(full.Token, "POST", "/auth/logout", ""); got != 204 {
		t.Error(got)
	}
	if got := a.as(full.Token, "GET", "/app/one", ""); got != 401 {
		t.Errorf("after the logout: %d", got)
	}
	a.call("POST", "/auth/logout", "", 400, nil) // the token of the configuration
	a.call("POST", "/auth/app/one/expire-all", `{"expiry":60}`, 204, nil)
	if got := a.as(old.Token, "GET", "/app/one", ""); got != 200 {
		t.Errorf("within the time that was left: %d", got)
	}
	a.call("POST", "/auth/app/one/expire-all", "", 204, nil)
	for _, token := range []string{reading.Token, old.Token} {
		if got := a.as(token, "GET", "/app/one", ""); got != 401 {
			t.Errorf("after expire-all: %d", got)
		}
	}
}

// sign makes a token as svix-server does.
func sign(t *testing.T, method jwt.SigningMethod, secret any, change func(jwt.MapClaims)) string {
	t.Helper()
	return signToken(t, jwt.New(method), secret, change)
}

// signWith signs with further fields in the header.
func signWith(t *testing.T, header map[string]any, secret any, change func(jwt.MapClaims)) string {
	t.Helper()
	token := jwt.New(jwt.SigningMethodHS256)
	maps.Copy(token.Header, header)
	return signToken(t, token, secret, change)
}

func signToken(t *testing.T, token *jwt.Token, secret any, change func(jwt.MapClaims)) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"iss": "svix-server", "sub": "org_23rb8YdGqMT0qIzpgGwdXfHirMu",
		"iat": now.Add(-time.Hour).Unix(), "nbf": now.Add(-time.Hour).Unix(), "exp": now.Add(time.Hour).Unix()}
	change(claims)
	token.Claims = claims
	text, err := token.SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestJWT(t *testing.T) {
	a, apps, _, _ := authWorld(t)
	keep := func(jwt.MapClaims) {}
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	secret := []byte(jwtSecret)
	own := sign(t, jwt.SigningMethodHS256, secret, set("sub", apps[0].ID))
	parts := strings.Split(sign(t, jwt.SigningMethodHS256, secret, keep), ".")
	for name, test := range map[string]struct {
		token string
		all   int // of a list of all applications
		one   int // of the application "one"
	}{
		"HS256":               {sign(t, jwt.SigningMethodHS256, secret, keep), 200, 200},
		"HS384":               {sign(t, jwt.SigningMethodHS384, secret, keep), 200, 200},
		"HS512":               {sign(t, jwt.SigningMethodHS512, secret, keep), 200, 200},
		"never expires":       {sign(t, jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) { delete(c, "exp") }), 200, 200},
		"own application":     {own, 403, 200},
		"other application":   {sign(t, jwt.SigningMethodHS256, secret, set("sub", apps[1].ID)), 403, 404},
		"unknown application": {sign(t, jwt.SigningMethodHS256, secret, set("sub", "app_000000000000000000000000000")), 401, 401},
		"no subject":          {sign(t, jwt.SigningMethodHS256, secret, set("sub", "")), 401, 401},
		"expired":             {sign(t, jwt.SigningMethodHS256, secret, set("exp", time.Now().Add(-2*time.Minute).Unix())), 401, 401},
		"not yet":             {sign(t, jwt.SigningMethodHS256, secret, set("nbf", time.Now().Add(5*time.Minute).Unix())), 401, 401},
		"other audience":      {sign(t, jwt.SigningMethodHS256, secret, set("aud", "billing")), 401, 401},
		"audiences":           {sign(t, jwt.SigningMethodHS256, secret, set("aud", []string{"billing", "mail"})), 401, 401},
		"extension":           {signWith(t, map[string]any{"crit": []string{"b64"}, "b64": true}, secret, keep), 401, 401},
		"unknown extension":   {signWith(t, map[string]any{"crit": []string{"x"}, "x": 1}, secret, keep), 401, 401},
		"made tomorrow":       {sign(t, jwt.SigningMethodHS256, secret, set("iat", time.Now().Add(24*time.Hour).Unix())), 401, 401},
		"made in a second":    {sign(t, jwt.SigningMethodHS256, secret, set("iat", time.Now().Add(time.Second).Unix())), 200, 200},
		"another secret":      {sign(t, jwt.SigningMethodHS256, []byte("a secret that signs others"), keep), 401, 401},
		"no signature":        {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, keep), 401, 401},
		"signature cut off":   {parts[0] + "." + parts[1] + ".", 401, 401},
		"the secret itself":   {jwtSecret, 401, 401},
	} {
		if got := a.as(test.token, "GET", "/app", ""); got != test.all {
			t.Errorf("%s: %d, want %d", name, got, test.all)
		}
		if got := a.as(test.token, "GET", "/app/one", ""); got != test.one {
			t.Errorf("%s: %d of its application, want %d", name, got, test.one)
		}
	}
	if got := a.as(own, "POST", "/auth/logout", ""); got != 400 {
		t.Errorf("logout of a token that is not kept: %d", got)
	}
	a.call("POST", "/auth/app/one/expire-all", "{}", 204, nil)
	if got := a.as(own, "GET", "/app/one", ""); got != 401 {
		t.Errorf("after expire-all: %d", got)
	}
	later := sign(t, jwt.SigningMethodHS256, secret, func(c jwt.MapClaims) {
		c["sub"], c["iat"] = apps[0].ID, time.Now().Add(2*time.Second).Unix()
	})
	if got := a.as(later, "GET", "/app/one", ""); got != 200 {
		t.Errorf("of a token that was made after expire-all: %d", got)
	}
}

func TestNoJWTWithoutSecret(t *testing.T) {
	a := apiStart(t)
	for _, secret := range []string{"", apiToken} {
		if got := a.as(sign(t, jwt.SigningMethodHS256, []byte(secret), func(jwt.MapClaims) {}), "GET", "/app", ""); got != 401 {
			t.Error(got)
		}
	}
}

// Whatever is done with tokens, and however it goes wrong, none gets into the log, nor into the
// answer to somebody else.
func TestTokensAreNotLogged(t *testing.T) {
	var log wait.Log
	a := apiStartLogging(t, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		func(c *config.Config) { c.API.JWTSecret = jwtSecret })
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, nil)
	key := a.newKey(`{"name":"shop","role":"reader"}`)
	var portal authKey
	a.call("POST", "/auth/app-portal-access/one", "", 200, &portal)
	signed := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(jwt.MapClaims) {})
	for _, token := range []string{key.Token, portal.Token, signed, jwtSecret, key.Token + "x"} {
		for _, path := range []string{"/app", "/key", "/auth/whoami", "/nothing", "/app/a%20b"} {
			_, text := a.raw("GET", "/api/v1"+path, "Bearer "+token, nil)
			if strings.Contains(string(text), token) {
				t.Errorf("%s answers with the token: %s", path, text)
			}
		}
	}
	a.call("DELETE", "/key/"+key.ID, "", 204, nil)
	if err := a.node.Close(); err != nil {
		t.Error(err)
	}
	for _, secret := range []string{apiToken, jwtSecret, signed, key.Token, portal.Token, key.Token[len(key.Token)-20:], portal.Token[len(portal.Token)-20:]} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has the secret %q", secret)
		}
	}
	if !strings.Contains(log.String(), "level") {
		t.Error("nothing was logged at all")
	}
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", webhook.APIKey{Name: "n", Hash: webhook.HashToken("x")})
	if strings.Contains(log.String(), "Hash") {
		t.Error("a key is logged with its hash")
	}
}

// The password in a URL is a secret: callers that may change the endpoint see it there, and nobody
// sees it elsewhere.
func TestPasswordInURL(t *testing.T) {
	a := apiStart(t)
	r := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, nil)
	a.call("POST", "/app/one/endpoint", `{"uid":"e","url":"`+strings.Replace(r.URL, "//", "//us:pa55word@", 1)+`"}`, 201, nil)
	a.call("POST", "/app/one/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.awaitAttempts("/app/one/attempt/msg/m", 1)
	shown := map[string]string{apiToken: "pa55word", a.newKey(`{"name":"k","role":"reader"}`).Token: "xxxxx"}
	shown[a.newKey(`{"name":"k","role":"application","applicationId":"one"}`).Token] = "pa55word"
	shown[a.newKey(`{"name":"k","role":"application","applicationId":"one","readOnly":true}`).Token] = "xxxxx"
	for token, want := range shown {
		for path, want := range map[string]string{"/endpoint": want, "/endpoint/e": want, "/msg/m/endpoint": want,
			"/attempt/msg/m": "xxxxx", "/attempt/endpoint/e": "xxxxx", "/msg/m/explain": "xxxxx"} {
			response, text := a.raw("GET", "/api/v1/app/one"+path, "Bearer "+token, nil)
			if response.StatusCode != 200 || !strings.Contains(string(text), "us:"+want+"@") || want == "xxxxx" && strings.Contains(string(text), "pa55word") {
				t.Errorf("%s: %d %s", path, response.StatusCode, text)
			}
		}
	}
	if header := r.Arrivals()[0].Header; header.Get("Authorization") != "Basic dXM6cGE1NXdvcmQ=" {
		t.Error(header)
	}
}
