package apitest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestContractDocument asks whether the document is one, by its own schema.
func TestContractDocument(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	if valid, faults := c.requests.ValidateDocument(); !valid {
		t.Error(explain(faults))
	}
}

// TestContractCatches checks that exchanges which break the contract are noticed.
func TestContractCatches(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	const app = `{"id":"app_1srOrx2ZWZBpBUvZwXKQmoEYga2","name":"Acme","metadata":{},"throttleRate":null,"createdAt":"2026-01-31T12:00:00Z","updatedAt":"2026-01-31T12:00:00Z"`
	tests := []struct {
		method, path, sent string
		status             int
		got                string
		want               string // in the error; empty: none
	}{
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 201, app + `}`, ""},
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 201, app + `,"surprise":1}`, "surprise"},
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 201, strings.Replace(app, "app_", "ep_", 1) + `}`, "pattern"},
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 201, strings.Replace(app, `"2026-01-31T12:00:00Z"`, `"soon"`, 1) + `}`, "date-time"},
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 201, `{}`, "id"},
		{"POST", "/api/v1/app", `{"name":5}`, 201, app + `}`, "name"},
		{"POST", "/api/v1/app", `{"name":5}`, 422, `{"detail":[{"loc":["body","name"],"msg":"must be a string","type":"value_error"}]}`, ""},
		{"POST", "/api/v1/app", `{"name":5}`, 422, `{"code":"x","detail":"y"}`, "detail"},
		{"POST", "/api/v1/app", `{"name":"Acme"}`, 418, `{}`, "418"},
		{"GET", "/api/v1/app?limit=1000", "", 200, `{"data":[],"iterator":null,"done":true}`, "limit"},
		{"GET", "/api/v1/nothing", "", 404, `{"code":"not_found","detail":"There is no operation at this path."}`, ""},
		{"GET", "/api/v1/nothing", "", 404, ``, "format"},
		{"GET", "/api/v1/nothing", "", 200, `{}`, "does not have"},
	}
	for _, test := range tests {
		request := httptest.NewRequest(test.method, test.path, strings.NewReader(test.sent))
		response := &http.Response{StatusCode: test.status, Status: http.StatusText(test.status), Header: http.Header{"Content-Type": {"application/json"}}}
		err := c.check(request, []byte(test.sent), response, []byte(test.got))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %s %s → %d %s: %v, want %q", test.method, test.path, test.sent, test.status, test.got, err, test.want)
		}
	}
}

func BenchmarkContract(b *testing.B) {
	c, err := theContract()
	if err != nil {
		b.Fatal(err)
	}
	sent := []byte(`{"eventType":"invoice.paid","payload":{"invoice":815}}`)
	got := []byte(`{"id":"msg_1srOrx2ZWZBpBUvZwXKQmoEYga2","eventType":"invoice.paid","eventId":null,"channels":null,"timestamp":"2026-01-31T12:00:00Z","payload":{"invoice":815}}`)
	for b.Loop() {
		request := httptest.NewRequest("POST", "/api/v1/app/acme/msg", nil)
		response := &http.Response{StatusCode: 202, Header: http.Header{"Content-Type": {"application/json"}}}
		if err := c.check(request, sent, response, got); err != nil {
			b.Fatal(err)
		}
	}
}
