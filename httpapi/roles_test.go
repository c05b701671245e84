package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hookwheel/httpapi/apitest"
)

// roleTable lists who may do what: a row for each operation, a column for each kind of caller.
// "portal" is a portal token of the application in the path, or of the task's application,
// "readonly" is such a token that can only read, "other" is a portal token of another application,
// and "none" is a request without a token.
//
// "yes" means that the caller may do it; 401, 403 and 404 are the responses to callers that may
// not.
const roleTable = `
                                                                        operator producer reader   portal   readonly other    none
GET    /api/v1/app                                                      yes      403      yes      403      403      403      401
POST   /api/v1/app                                                      yes      yes      403      403      403      403      401
GET    /api/v1/app/{app}                                                yes      403      yes      yes      yes      404      401
PUT    /api/v1/app/{app}                                                yes      403      403      403      403      403      401
PATCH  /api/v1/app/{app}                                                yes      403      403      403      403      403      401
DELETE /api/v1/app/{app}                                                yes      403      403      403      403      403      401
GET    /api/v1/app/{app}/endpoint                                       yes      403      yes      yes      yes      404      401
POST   /api/v1/app/{app}/endpoint                                       yes      403      403      yes      403      404      401
GET    /api/v1/app/{app}/endpoint/{endpoint}                            yes      403      yes      yes      yes      404      401
PUT    /api/v1/app/{app}/endpoint/{endpoint}                            yes      403      403      yes      403      404      401
PATCH  /api/v1/app/{app}/endpoint/{endpoint}                            yes      403      403      yes      403      404      401
DELETE /api/v1/app/{app}/endpoint/{endpoint}                            yes      403      403      yes      403      404      401
GET    /api/v1/app/{app}/endpoint/{endpoint}/secret                     yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/secret/rotate              yes      403      403      yes      403      404      401
GET    /api/v1/app/{app}/endpoint/{endpoint}/headers                    yes      403      yes      yes      yes      404      401
PUT    /api/v1/app/{app}/endpoint/{endpoint}/headers                    yes      403      403      yes      403      404      401
PATCH  /api/v1/app/{app}/endpoint/{endpoint}/headers                    yes      403      403      yes      403      404      401
GET    /api/v1/app/{app}/endpoint/{endpoint}/stats                      yes      403      yes      yes      yes      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/send-example               yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/msg/test-attempt           yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/msg/test-attempt                               yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/pause                      yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/resume                     yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/recover                    yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/replay-missing             yes      403      403      yes      403      404      401
POST   /api/v1/app/{app}/endpoint/{endpoint}/bulk-replay                yes      403      403      yes      403      404      401
GET    /api/v1/event-type                                               yes      403      yes      yes      yes      yes      401
POST   /api/v1/event-type                                               yes      403      403      403      403      403      401
POST   /api/v1/event-type/import/openapi                                yes      403      403      403      403      403      401
GET    /api/v1/event-type/{event_type}                                  yes      403      yes      yes      yes      yes      401
PUT    /api/v1/event-type/{event_type}                                  yes      403      403      403      403      403      401
PATCH  /api/v1/event-type/{event_type}                                  yes      403      403      403      403      403      401
DELETE /api/v1/event-type/{event_type}                                  yes      403      403      403      403      403      401
GET    /api/v1/app/{app}/msg                                            yes      403      yes      yes      yes      404      401
POST   /api/v1/app/{app}/msg                                            yes      yes      403      403      403      403      401
POST   /api/v1/app/{app}/msg/batch                                      yes      yes      403      403      403      403      401
GET    /api/v1/app/{app}/msg/{msg}                                      yes      403      yes      yes      yes      404      401
DELETE /api/v1/app/{app}/msg/{msg}/content                              yes      403      403      403      403      403      401
GET    /api/v1/app/{app}/msg/{msg}/explain                              yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/msg/{msg}/endpoint                             yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/endpoint/{endpoint}/msg                        yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/attempt                                        yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/attempt/endpoint/{endpoint}                    yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/attempt/msg/{msg}                              yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/msg/{msg}/attempt/{attempt}                    yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/msg/{msg}/attempt/{attempt}/headers            yes      403      yes      yes      yes      404      401
DELETE /api/v1/app/{app}/msg/{msg}/attempt/{attempt}/content            yes      403      403      403      403      403      401
POST   /api/v1/app/{app}/msg/{msg}/endpoint/{endpoint}/resend           yes      403      403      yes      403      404      401
GET    /api/v1/app/{app}/msg/{msg}/attempt                              yes      403      yes      yes      yes      404      401
GET    /api/v1/app/{app}/msg/{msg}/endpoint/{endpoint}/attempt          yes      403      yes      yes      yes      404      401
GET    /api/v1/operational-webhook/endpoint                             yes      403      yes      403      403      403      401
POST   /api/v1/operational-webhook/endpoint                             yes      403      403      403      403      403      401
GET    /api/v1/operational-webhook/endpoint/{endpoint}                  yes      403      yes      403      403      403      401
PUT    /api/v1/operational-webhook/endpoint/{endpoint}                  yes      403      403      403      403      403      401
DELETE /api/v1/operational-webhook/endpoint/{endpoint}                  yes      403      403      403      403      403      401
GET    /api/v1/operational-webhook/endpoint/{endpoint}/secret           yes      403      403      403      403      403      401
POST   /api/v1/operational-webhook/endpoint/{endpoint}/secret/rotate    yes      403      403      403      403      403      401
GET    /api/v1/operational-webhook/endpoint/{endpoint}/headers          yes      403      yes      403      403      403      401
PUT    /api/v1/operational-webhook/endpoint/{endpoint}/headers          yes      403      403      403      403      403      401
GET    /api/v1/endpoint                                                 yes      403      yes      403      403      403      401
GET    /api/v1/stats/attempt                                            yes      403      yes      403      403      403      401
GET    /api/v1/stats/app/attempt                                        yes      403      yes      403      403      403      401
GET    /api/v1/stats/app/{app}/attempt                                  yes      403      yes      yes      yes      404      401
GET    /api/v1/stats/app/{app}/endpoint/attempt                         yes      403      yes      yes      yes      404      401
GET    /api/v1/stats/app/{app}/endpoint/{endpoint}/attempt              yes      403      yes      yes      yes      404      401
GET    /api/v1/stats/app/{app}/ep/{endpoint}/attempt                    yes      403      yes      yes      yes      404      401
GET    /api/v1/background-task                                          yes      403      yes      yes      yes      yes      401
GET    /api/v1/background-task/{task}                                   yes      403      yes      yes      yes      404      401
POST   /api/v1/background-task/{task}/pause                             yes      403      403      yes      403      404      401
POST   /api/v1/background-task/{task}/resume                            yes      403      403      yes      403      404      401
POST   /api/v1/background-task/{task}/cancel                            yes      403      403      yes      403      404      401
POST   /api/v1/auth/app-portal-access/{app}                             yes      403      403      403      403      403      401
POST   /api/v1/auth/dashboard-access/{app}                              yes      403      403      403      403      403      401
POST   /api/v1/auth/app/{app}/expire-all                                yes      403      403      403      403      403      401
GET    /api/v1/auth/app/{app}/token                                     yes      403      403      403      403      403      401
GET    /api/v1/auth/whoami                                              yes      yes      yes      yes      yes      yes      401
GET    /api/v1/key                                                      yes      403      403      403      403      403      401
POST   /api/v1/key                                                      yes      403      403      403      403      403      401
GET    /api/v1/key/{key}                                                yes      403      403      403      403      403      401
DELETE /api/v1/key/{key}                                                yes      403      403      403      403      403      401
GET    /api/v1/health                                                   yes      yes      yes      yes      yes      yes      yes
HEAD   /api/v1/health                                                   yes      yes      yes      yes      yes      yes      yes
GET    /api/v1/health/ping                                              yes      yes      yes      yes      yes      yes      yes
HEAD   /api/v1/health/ping                                              yes      yes      yes      yes      yes      yes      yes
POST   /api/v1/health/ping                                              yes      yes      yes      yes      yes      yes      yes
GET    /metrics                                                         yes      yes      yes      yes      yes      yes      yes
GET    /api/v1/openapi.json                                             yes      yes      yes      yes      yes      yes      yes
GET    /portal                                                          yes      yes      yes      yes      yes      yes      yes
GET    /console                                                         yes      yes      yes      yes      yes      yes      yes
GET    /docs                                                            yes      yes      yes      yes      yes      yes      yes
GET    /                                                                yes      yes      yes      yes      yes      yes      yes
GET    /api/v1/tail                                                     yes      403      yes      yes      yes      yes      401
GET    /api/v1/environment/settings                                     yes      yes      yes      yes      yes      yes      401
PUT    /api/v1/environment/settings                                     yes      403      403      403      403      403      401
GET    /api/v1/audit                                                    yes      403      yes      403      403      403      401
GET    /api/v1/cluster                                                  yes      403      yes      403      403      403      401
POST   /api/v1/cluster/members                                          yes      403      403      403      403      403      401
DELETE /api/v1/cluster/members/{node}                                   yes      403      403      403      403      403      401
POST   /api/v1/cluster/transfer                                         yes      403      403      403      403      403      401
POST   /api/v1/cluster/fingerprint                                      yes      403      403      403      403      403      401
GET    /api/v1/cluster/configuration                                    yes      403      yes      403      403      403      401
POST   /api/v1/cluster/configuration/reload                             yes      403      403      403      403      403      401
GET    /api/v1/cluster/backup                                           yes      403      403      403      403      403      401
POST   /api/v1/cluster/rewrap                                           yes      403      403      403      403      403      401
POST   /api/v1/auth/logout                                              yes      yes      yes      yes      yes      yes      401
`

// roleRow is what one kind of caller gets from one operation.
type roleRow struct {
	method, path string
	verdicts     map[string]string // by caller
}

func parseRoles(t *testing.T) (callers []string, rows []roleRow) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(roleTable), "\n")
	callers = strings.Fields(lines[0])
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if len(fields) != 2+len(callers) {
			t.Fatalf("a row needs a method, a path and %d verdicts: %s", len(callers), line)
		}
		row := roleRow{fields[0], fields[1], make(map[string]string)}
		for i, caller := range callers {
			row.verdicts[caller] = fields[2+i]
		}
		rows = append(rows, row)
	}
	return callers, rows
}

// TestRoleTableIsComplete checks that the table has a row for each operation of the OpenAPI
// document, which in turn has each route (TestOpenAPIOperations), and that both name the same
// roles.
func TestRoleTableIsComplete(t *testing.T) {
	operations, err := apitest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	_, rows := parseRoles(t)
	inTable := make(map[string]roleRow)
	for _, row := range rows {
		inTable[row.method+" "+row.path] = row
	}
	for named, described := range operations {
		name := named.Method + " " + named.Path
		row, found := inTable[name]
		delete(inTable, name)
		if !found {
			t.Errorf("roleTable has no row for %s", name)
			continue
		}
		var operation struct{ Security []struct{ Token []string } }
		if err := json.Unmarshal(described, &operation); err != nil {
			t.Fatal(err)
		}
		public := len(operation.Security) == 0
		if public != (row.verdicts["none"] == "yes") {
			t.Errorf("%s: public in the document: %v; verdict without a token: %s", name, public, row.verdicts["none"])
		}
		for caller, role := range map[string]string{"operator": "admin", "producer": "producer", "reader": "reader", "portal": "application"} {
			documented := public || slices.Contains(operation.Security[0].Token, role)
			if documented != (row.verdicts[caller] == "yes") {
				t.Errorf("%s: allowed to %s in the document: %v; verdict: %s", name, role, documented, row.verdicts[caller])
			}
		}
	}
	for name := range inTable {
		t.Errorf("roleTable has a row for %s, which is not an operation", name)
	}
}

// roleWorld is a node with one object of each kind, most of them of the application "one", and a
// token for each kind of caller.
type roleWorld struct {
	*api
	tokens  map[string]string // by caller
	objects map[string]string // by parameter of a path
	own     []string          // IDs that other applications must not see
}

func newRoleWorld(t *testing.T) *roleWorld {
	t.Helper()
	a := apiStart(t)
	var app, endpoint, msg apiThing
	var task struct{ ID string }
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, &app)
	a.call("POST", "/app", `{"name":"a","uid":"two"}`, 201, nil)
	a.call("POST", "/app/one/endpoint", `{"uid":"hook","url":"http://127.0.0.1:9/"}`, 201, &endpoint)
	a.call("POST", "/operational-webhook/endpoint", `{"uid":"hook","url":"http://127.0.0.1:9/"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"a.b","description":"d"}`, 201, nil)
	a.call("POST", "/app/one/msg", `{"eventType":"a.b","payload":{}}`, 202, &msg)
	attempt := a.awaitAttempts("/app/one/attempt/msg/"+msg.ID, 1).Data[0]
	a.call("POST", "/app/one/endpoint/hook/bulk-replay", `{"since":"2026-01-01T00:00:00Z"}`, 202, &task)
	w := &roleWorld{api: a, tokens: map[string]string{"operator": apiToken, "none": ""}}
	for _, role := range []string{"producer", "reader"} {
		w.tokens[role] = a.newKey(`{"name":"k","role":"` + role + `"}`).Token
	}
	for caller, body := range map[string]string{"portal one": "{}", "readonly one": `{"readOnly":true}`, "other two": "{}"} {
		caller, app, _ := strings.Cut(caller, " ")
		var portal authKey
		a.call("POST", "/auth/app-portal-access/"+app, body, 200, &portal)
		w.tokens[caller] = portal.Token
	}
	w.objects = map[string]string{"app": "one", "endpoint": "hook", "msg": msg.ID, "attempt": attempt.ID,
		"task": task.ID, "event_type": "a.b", "key": a.newKey(`{"name":"k","role":"reader"}`).ID, "node": "n1"}
	w.own = []string{app.ID, endpoint.ID, msg.ID, attempt.ID, task.ID}
	return w
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// existing returns the path of an operation on objects that exist.
func (w *roleWorld) existing(t *testing.T, path string) string {
	t.Helper()
	switch path { // these need a parameter
	case "/api/v1/stats/app/attempt":
		path += "?app_id={app}"
	case "/api/v1/stats/app/{app}/endpoint/attempt":
		path += "?endpoint_id={endpoint}"
	}
	return pathParameter.ReplaceAllStringFunc(path, func(name string) string {
		object, found := w.objects[strings.Trim(name, "{}")]
		if !found {
			t.Fatalf("%s: roleWorld has no object for %s", path, name)
		}
		return object
	})
}

// missing returns the path of an operation on objects that do not exist, so that it changes
// nothing. Portal tokens need their own application.
func (w *roleWorld) missing(path, caller string) string {
	if caller == "portal" || caller == "readonly" {
		path = strings.ReplaceAll(path, "{app}", "one")
	}
	return pathParameter.ReplaceAllString(path, "nobody")
}

func (w *roleWorld) ask(t *testing.T, method, path, caller string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token := w.tokens[caller]; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // does not follow the redirect of /
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if path == "/api/v1/tail" {
		return response.StatusCode, "" // a stream without an end
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Requests that must be refused name existing objects. They come first, for all operations: then
// each object is still there for those who may read it.
func TestEveryOperationWithEveryRole(t *testing.T) {
	w := newRoleWorld(t)
	callers, rows := parseRoles(t)
	for _, row := range rows {
		for _, caller := range callers {
			if want := row.verdicts[caller]; want != "yes" {
				w.checkRefused(t, row, caller, want)
			}
		}
	}
	for _, row := range rows {
		for _, caller := range callers {
			if row.verdicts[caller] == "yes" {
				w.checkAllowed(t, row, caller)
			}
		}
	}
}

func (w *roleWorld) checkRefused(t *testing.T, row roleRow, caller, want string) {
	t.Helper()
	status, text := w.ask(t, row.method, w.existing(t, row.path), caller)
	code := map[string]int{"401": 401, "403": 403, "404": 404}[want]
	if status != code {
		t.Errorf("%s: %s %s: %d, want %s: %.300s", caller, row.method, row.path, status, want, text)
	}
}

func (w *roleWorld) checkAllowed(t *testing.T, row roleRow, caller string) {
	t.Helper()
	if row.method != "GET" && row.method != "HEAD" {
		status, text := w.ask(t, row.method, w.missing(row.path, caller), caller)
		own := caller == "portal" || caller == "readonly"
		if status == 401 || status == 403 || status == 404 && own && strings.Contains(text, "Application not found") {
			t.Errorf("%s: %s %s: %d, but it is allowed: %.300s", caller, row.method, row.path, status, text)
		}
		return
	}
	status, text := w.ask(t, row.method, w.existing(t, row.path), caller)
	if status != 200 && status != 204 && status != 307 {
		t.Errorf("%s: %s %s: %d, but it is allowed: %.300s", caller, row.method, row.path, status, text)
	}
	if caller != "other" {
		return
	}
	for _, id := range w.own {
		if strings.Contains(text, id) {
			t.Errorf("%s: %s %s contains %s of application one: %.300s", caller, row.method, row.path, id, text)
		}
	}
}
