package httpapi_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestAPIDocuments reads the description of the API, and the page that is made from it, without a
// token.
func TestAPIDocuments(t *testing.T) {
	a := apiStart(t)
	response, text := a.raw("GET", "/api/v1/openapi.json", "", nil)
	var document struct {
		OpenAPI string
		Paths   map[string]any
	}
	if err := json.Unmarshal(text, &document); err != nil || response.StatusCode != 200 || document.OpenAPI != "3.1.0" || len(document.Paths) < 40 {
		t.Errorf("openapi.json: %d, %v, %.200s", response.StatusCode, err, text)
	}
	for _, path := range []string{"/", "/docs", "/docs/"} { // the first leads to the second
		if _, text := a.raw("GET", path, "", nil); !bytes.Contains(text, []byte("<title>Hookwheel API</title>")) {
			t.Errorf("%s: %.200s", path, text)
		}
	}
	for _, page := range []string{"/portal", "/console"} {
		if response, text := a.raw("GET", page, "", nil); response.StatusCode != 200 || !bytes.Contains(text, []byte("<html")) {
			t.Errorf("%s: %d, %.200s", page, response.StatusCode, text)
		}
	}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		if response, _ := a.raw(method, "/api/v1/health/ping", "", nil); response.StatusCode != http.StatusNoContent {
			t.Errorf("%s ping: %d", method, response.StatusCode)
		}
	}
	a.call("GET", "/cluster", "", 200, nil) // waits for the leader
	if response, _ := a.raw("HEAD", "/api/v1/health", "", nil); response.StatusCode != 200 {
		t.Errorf("health: %d", response.StatusCode)
	}
}

// No browser keeps what the API responds: it may be secrets.
func TestResponsesAreNotStored(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e"}`, 201, nil)
	for path, status := range map[string]int{"/app/acme/endpoint/e/secret": 200, "/app": 200, "/app/nobody": 404} {
		response, _ := a.raw("GET", "/api/v1"+path, "Bearer "+apiToken, nil)
		if got := response.Header.Get("Cache-Control"); response.StatusCode != status || got != "no-store" {
			t.Errorf("GET %s: %d, Cache-Control %q", path, response.StatusCode, got)
		}
	}
}

// TestAPICluster asks a cluster of one for what it can do, and for what it can't.
func TestAPICluster(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme"}`, 201, nil)
	a.call("POST", "/cluster/fingerprint", "", 202, nil)
	a.call("POST", "/cluster/transfer", "", 409, nil)
	a.call("POST", "/cluster/transfer", `{"to":7}`, 422, nil)
	a.call("POST", "/cluster/members", `{}`, 422, nil)
	a.call("DELETE", "/cluster/members/nobody", "", 404, nil)
	var configuration struct {
		Node string
		Data []struct {
			Name, Value     string
			Secret, Default bool
		}
	}
	a.call("GET", "/cluster/configuration", "", 200, &configuration)
	for _, setting := range configuration.Data {
		if setting.Name == "api.token" && (setting.Value != "set" || !setting.Secret) || strings.Contains(setting.Value, apiToken) {
			t.Errorf("the token is shown as %+v", setting)
		}
	}
	if configuration.Node == "" || len(configuration.Data) < 40 {
		t.Errorf("configuration: %+v", configuration)
	}
	if out, said, err := a.hookwheel("cluster", "configuration"); err != nil || !strings.Contains(out, "delivery.timeout") {
		t.Errorf("%s%s%v", out, said, err)
	}
	if response, text := a.raw("GET", "/api/v1/cluster/backup", "Bearer "+apiToken, nil); response.StatusCode != 200 || !bytes.HasPrefix(text, []byte("hookwheel backup")) {
		t.Errorf("backup: %d %.100q", response.StatusCode, text)
	}
}
