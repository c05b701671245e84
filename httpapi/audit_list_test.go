package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/httpapi/apitest"
)

type auditItem struct {
	ID, Change string
	Actor      struct{ Type, Role, KeyID, Name, AppID, SessionID string }
	AppID      string
	KeyID      string
	EventType  string
	Member     string
}

// audit returns the changes that a query finds, oldest first, and checks the pages on the way.
func (a *api) audit(query string) (list []auditItem) {
	a.t.Helper()
	for iterator := ""; ; {
		var page struct {
			Data     []auditItem
			Iterator string
			Done     bool
		}
		a.call("GET", "/audit?limit=3&iterator="+iterator+"&"+query, "", 200, &page)
		list = append(list, page.Data...)
		if iterator = page.Iterator; page.Done {
			slices.Reverse(list)
			return list
		}
	}
}

// callAs makes a request with another token.
func (a *api) callAs(token, method, path, body string, status int) {
	a.t.Helper()
	if got := a.as(token, method, path, body); got != status {
		a.t.Errorf("%s %s: %d, want %d", method, path, got, status)
	}
}

func changesOf(list []auditItem) (changes []string) {
	for i := range list {
		changes = append(changes, list[i].Change)
	}
	return changes
}

// TestAuditList makes each kind of change with different tokens.
func TestAuditList(t *testing.T) {
	a := apiStart(t)
	var app apiThing
	var portal authKey
	begin := time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, &app)
	admin := a.newKey(`{"name":"deployment","role":"admin"}`)
	a.call("POST", "/auth/app-portal-access/acme", `{"sessionId":"anna"}`, 200, &portal)
	a.callAs(admin.Token, "PUT", "/app/acme", `{"name":"Acme","uid":"acme"}`, 200) // changes nothing
	a.callAs(admin.Token, "PATCH", "/app/acme", `{"name":"Acme 2"}`, 200)
	a.callAs(portal.Token, "POST", "/app/acme/endpoint", `{"uid":"e","url":"http://127.0.0.1:9/"}`, 201)
	a.callAs(portal.Token, "PATCH", "/app/acme/endpoint/e", `{"description":"d"}`, 200)
	a.callAs(portal.Token, "PATCH", "/app/acme/endpoint/e", `{"url":"nonsense"}`, 422) // refused
	a.callAs(portal.Token, "POST", "/app/acme/endpoint", `{"uid":"e","url":"http://127.0.0.1:9/"}`, 409)
	a.callAs(portal.Token, "POST", "/app/acme/endpoint/e/pause", "", 200)
	a.callAs(admin.Token, "POST", "/event-type", `{"name":"a.b","description":"d"}`, 201)
	a.callAs(admin.Token, "PATCH", "/event-type/a.b", `{"description":"e"}`, 200)
	a.callAs(admin.Token, "DELETE", "/event-type/a.b", "", 204)
	a.callAs(admin.Token, "DELETE", "/event-type/a.b?expunge=true", "", 204)
	a.call("POST", "/app/acme/endpoint/e/bulk-replay", `{"since":"2026-01-01T00:00:00Z"}`, 202, nil)
	a.call("POST", "/auth/app/acme/expire-all", `{"sessionIds":["nobody"]}`, 204, nil)
	a.call("DELETE", "/key/"+admin.ID, "", 204, nil)

	all := a.audit("")
	want := []string{"application.created", "key.created", "key.created", "application.updated", "endpoint.created", "endpoint.updated", "endpoint.paused",
		"event_type.created", "event_type.updated", "event_type.archived", "event_type.deleted", "task.started", "application.tokens_expired", "key.revoked"}
	if got := changesOf(all); !slices.Equal(got, want) {
		t.Fatalf("%v\nwant %v", got, want)
	}
	if by := all[0].Actor; by.Type != "configuration" || by.KeyID != "" || by.Role != "admin" {
		t.Errorf("by the token of the configuration: %+v", by)
	}
	if by := all[3].Actor; by.Type != "key" || by.KeyID != admin.ID || by.Name != "deployment" || by.Role != "admin" {
		t.Errorf("by a key: %+v", by)
	}
	if by := all[4].Actor; by.Type != "key" || by.SessionID != "anna" || by.Role != "application" || by.AppID != app.ID {
		t.Errorf("by the token of a portal: %+v", by)
	}
	portalID := all[4].Actor.KeyID
	for query, want := range map[string][]string{
		"actor=" + admin.ID:                       {"application.updated", "event_type.created", "event_type.updated", "event_type.archived", "event_type.deleted"},
		"actor=" + portalID:                       {"endpoint.created", "endpoint.updated", "endpoint.paused"},
		"actor=cluster":                           nil,
		"actor=jwt":                               nil,
		"change=endpoint.paused,key.revoked":      {"endpoint.paused", "key.revoked"},
		"app=acme&change=key.created":             {"key.created"},
		"app=" + app.ID + "&actor=configuration":  {"application.created", "key.created", "task.started", "application.tokens_expired"},
		"before=" + begin:                         nil,
		"after=" + begin + "&change=key.revoked":  {"key.revoked"},
		"actor=configuration&change=task.started": {"task.started"},
		"app=acme&actor=" + admin.ID:              {"application.updated"},
	} {
		if got := changesOf(a.audit(query)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	for query, status := range map[string]int{"actor=king": 422, "actor=key_1": 422, "change=x": 422, "change=endpoint.parked": 422, "app=none": 404, "iterator=x": 422, "before=x": 422} {
		a.call("GET", "/audit?"+query, "", status, nil)
	}
	_, text := a.raw("GET", "/api/v1/audit?limit=250", "Bearer "+apiToken, nil)
	for _, secret := range []string{admin.Token[31:], portal.Token[31:], apiToken, "127.0.0.1", "Acme 2"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the list has %q", secret)
		}
	}

	// What is left of a deleted application is its IDs.
	a.call("DELETE", "/app/acme", "", 204, nil)
	for _, item := range a.audit("app=" + app.ID) {
		if item.Actor.SessionID != "" || item.Actor.Role == "application" && item.Actor.Name != "" {
			t.Errorf("after the deletion: %+v", item)
		}
	}
}

// A JWT is an actor by its subject, and that of an application acts for it.
func TestAuditOfJWT(t *testing.T) {
	a, apps, endpoint, _ := authWorld(t)
	const organization = "org_23rb8YdGqMT0qIzpgGwdXfHirMu"
	token := func(subject string) string {
		return sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(c jwt.MapClaims) { c["sub"] = subject })
	}
	path := "/app/one/endpoint/" + endpoint.ID
	a.callAs(token(organization), "PATCH", path, `{"description":"d"}`, 200)
	a.callAs(token(apps[0].ID), "PATCH", path, `{"description":"e"}`, 200)
	a.callAs(token(apps[1].ID), "PATCH", path, `{"description":"f"}`, 404)
	list := a.audit("actor=jwt")
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	if by := list[0].Actor; by.Type != "jwt" || by.Role != "admin" || by.AppID != "" || by.KeyID != "" || by.Name != organization {
		t.Errorf("of the organization: %+v", by)
	}
	if by := list[1].Actor; by.Type != "jwt" || by.Role != "application" || by.AppID != apps[0].ID || by.KeyID != "" {
		t.Errorf("of the application: %+v", by)
	}
}

// TestAuditNames: of the name of a key only the first bytes are kept, in whole characters.
func TestAuditNames(t *testing.T) {
	a := apiStart(t)
	long := strings.Repeat("ä", 1000)
	key := a.newKey(fmt.Sprintf(`{"name":"x%s","role":"admin"}`, long))
	a.callAs(key.Token, "POST", "/app", `{"name":"<b>","uid":"acme"}`, 201)
	list := a.audit("actor=" + key.ID)
	if len(list) != 1 || list[0].Actor.Name != "x"+long[:2*127] {
		t.Errorf("%+v", list)
	}
}

// TestAuditInTail: operators see who made a change, customers do not.
func TestAuditInTail(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	var portal authKey
	a.call("POST", "/auth/app-portal-access/acme", "", 200, &portal)
	from := "from=" + url.QueryEscape(time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	operator, customer := apitest.Follow(t, apiToken, from, a.url), apitest.Follow(t, portal.Token, from, a.url)
	a.call("POST", "/event-type", `{"name":"a.b","description":"d"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	if got := operator.Await(t, 4); !slices.Equal(got, []string{"application.created", "key.created", "event_type.created", "endpoint.created"}) {
		t.Errorf("operator: %v", got)
	}
	if got := customer.Await(t, 2); !slices.Equal(got, []string{"application.created", "endpoint.created"}) {
		t.Errorf("customer: %v", got)
	}
	if data := operator.Events()[3].Data; !strings.Contains(data, `"actor":{"type":"configuration"`) {
		t.Errorf("operator: %s", data)
	}
	if data := customer.Events()[1].Data; !strings.Contains(data, `"actor":null`) {
		t.Errorf("customer: %s", data)
	}
}
