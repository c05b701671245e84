package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/node"
	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

const apiToken = "0123456789abcdef"

// api is a node of one, in this process, and its client.
type api struct {
	t    testing.TB
	url  string
	node *node.Node
}

func apiStart(t testing.TB, changes ...func(*config.Config)) *api {
	t.Helper()
	return apiStartLogging(t, slog.New(slog.DiscardHandler), changes...)
}

func apiStartLogging(t testing.TB, log *slog.Logger, changes ...func(*config.Config)) *api {
	t.Helper()
	n, err := node.Start(apiConfig(t, changes...), "test", log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return &api{t, "http://" + n.Addr(), n}
}

func apiConfig(t testing.TB, changes ...func(*config.Config)) config.Config {
	t.Helper()
	c := config.Default()
	c.Data = memdir.New(t)
	c.API.Listen, c.API.Token, c.API.MaxBody = "127.0.0.1:0", apiToken, 64<<10
	c.API.Drain = 0
	peer := process.FreeAddress(t)
	c.Cluster = config.Cluster{Listen: peer, Address: peer, Peers: []config.Peer{{ID: "n1", Address: peer}}, Voter: true}
	c.Storage.MinFree = 1
	c.Delivery.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	c.Delivery.Retry = webhook.RetryPolicy{Delays: []time.Duration{50 * time.Millisecond, 50 * time.Millisecond}}
	for _, change := range changes {
		change(&c)
	}
	return c
}

// raw makes a request with that Authorization header.
func (a *api) raw(method, path, authorization string, body []byte) (*http.Response, []byte) {
	a.t.Helper()
	request, err := http.NewRequest(method, a.url+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	return a.do(request)
}

func (a *api) do(request *http.Request) (*http.Response, []byte) {
	a.t.Helper()
	response, err := (&http.Client{Transport: apitest.WithContract(a.t)}).Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return response, text
}

// call makes a request that must be answered with that status, and decodes the answer into out, if
// any.
func (a *api) call(method, path, body string, status int, out any) {
	a.t.Helper()
	a.callWith(apiToken, method, path, body, status, out)
}

// callWith does the same with another token.
func (a *api) callWith(token, method, path, body string, status int, out any) {
	a.t.Helper()
	response, text := a.raw(method, "/api/v1"+path, "Bearer "+token, []byte(body))
	if response.StatusCode != status {
		a.t.Fatalf("%s %s: %d, want %d: %s", method, path, response.StatusCode, status, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			a.t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
}

type apiThing struct {
	ID, UID, URL, Key, EventType, EventID, MsgID, EndpointID, Response, StatusText string
	ResponseStatusCode, Status, Number                                             int
	EventTypes, FilterTypes, Channels                                              []string
	Payload                                                                        json.RawMessage
	NextAttempt                                                                    *time.Time
}

type apiList struct {
	Data         []apiThing
	Iterator     *string
	PrevIterator *string
	Done         bool
}

// TestAPIDelivery sends odd payloads, which must arrive byte for byte and verify with the official
// library.
func TestAPIDelivery(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	var app, endpoint, secret apiThing
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, &app)
	for _, name := range []string{"a.b", "c"} {
		a.call("POST", "/event-type", `{"name":"`+name+`","description":""}`, 201, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"first","filterTypes":["a.b","c"]}`, 201, &endpoint)
	if !slices.Equal(endpoint.EventTypes, []string{"a.b", "c"}) || !slices.Equal(endpoint.FilterTypes, endpoint.EventTypes) || endpoint.URL != receiver.URL+"/" {
		t.Errorf("endpoint: %+v", endpoint)
	}
	a.call("GET", "/app/acme/endpoint/first/secret", "", 200, &secret)
	verifier, err := standardwebhooks.NewWebhook(secret.Key)
	if err != nil {
		t.Fatal(err)
	}
	payloads := []string{`{}`, `{ "a" :  1.0e5,"b":"\u00e9é\n" }`, "{\n\t\"deep\": [[{}]], \"n\": 12345678901234567890123}"}
	ids := make(map[string]string)
	for _, payload := range payloads {
		var m apiThing
		a.call("POST", "/app/"+app.ID+"/msg", `{"payload":`+payload+`,"eventType":"a.b"}`, 202, &m)
		ids[m.ID] = payload
	}
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"unwanted"}`, 202, nil)
	for _, request := range receiver.Await(t, len(payloads)) {
		if want := ids[request.ID]; want != string(request.Body) {
			t.Errorf("sent %s, arrived %s", want, request.Body)
		}
		if err := verifier.Verify(request.Body, request.Header); err != nil {
			t.Error(err)
		}
		if request.Header.Get("Svix-Signature") != request.Header.Get("Webhook-Signature") || !strings.HasPrefix(request.Header.Get("User-Agent"), "Hookwheel/") {
			t.Errorf("headers: %v", request.Header)
		}
	}
	var list apiList
	wait.For(t, "the attempts to be recorded", func() bool {
		a.call("GET", "/app/acme/attempt/endpoint/first", "", 200, &list)
		return len(list.Data) == len(payloads)
	})
	if len(list.Data) != len(payloads) || list.Data[0].StatusText != "success" || list.Data[0].Response != "thanks" || list.Data[0].Number != 1 {
		t.Errorf("attempts: %+v", list)
	}
	a.call("DELETE", "/app/acme/endpoint/first", "", 204, nil)
	a.call("GET", "/app/acme/endpoint/first", "", 404, nil)
}

// TestAPIRetries sends a message that the receiver refuses at first, and one that is given up.
func TestAPIRetries(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusServiceUnavailable)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"first"}`, 201, nil)
	var m apiThing
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a","eventId":"one"}`, 202, &m)
	receiver.Await(t, 1)
	receiver.Say(http.StatusNoContent)
	requests := receiver.Await(t, 2)
	if requests[0].ID != m.ID || requests[1].ID != m.ID {
		t.Error("a retry carries another id")
	}
	list := a.awaitAttempts("/app/acme/attempt/msg/one", 2)
	if first := list.Data[1]; first.StatusText != "fail" || first.ResponseStatusCode != 503 || first.NextAttempt == nil {
		t.Errorf("the first attempt: %+v", first)
	}
	if second := list.Data[0]; second.StatusText != "success" || second.Number != 2 || second.NextAttempt != nil {
		t.Errorf("the second attempt: %+v", second)
	}
	receiver.Say(http.StatusMovedPermanently)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a","eventId":"two"}`, 202, nil)
	list = a.awaitAttempts("/app/acme/attempt/msg/two?status=2&status_code_class=300", 3)
	if list.Data[0].NextAttempt != nil || list.Data[1].NextAttempt == nil {
		t.Errorf("the schedule does not end where it should: %+v", list.Data)
	}
	receiver.Server.Close()
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a","eventId":"three"}`, 202, nil)
	list = a.awaitAttempts("/app/acme/attempt/msg/three?status_code_class=0", 2) // the first may find a connection that is left
	if !strings.Contains(list.Data[0].Response, "connection refused") {
		t.Errorf("a refused connection reads: %q", list.Data[0].Response)
	}
}

func (a *api) awaitAttempts(path string, count int) (list apiList) {
	a.t.Helper()
	wait.For(a.t, fmt.Sprintf("%d attempts at %s", count, path), func() bool {
		a.call("GET", path, "", 200, &list)
		return len(list.Data) >= count
	})
	return list
}

func TestAPIErrors(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://example.com","uid":"first"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"once","payload":{}}`, 202, nil)
	large := `{"eventType":"a","payload":{"a":"` + strings.Repeat("x", 70<<10) + `"}}`
	tests := []struct {
		method, path, body string
		status             int
		want               string // in the body
	}{
		{"GET", "/app/nobody", "", 404, `"code":"not_found"`},
		{"GET", "/app/app_000000000000000000000000000", "", 404, "Application not found"},
		{"GET", "/app/acme/endpoint/nobody", "", 404, "Endpoint not found"},
		{"GET", "/app/acme/msg/nobody", "", 404, "Message not found"},
		{"POST", "/app/nobody/msg", `{"eventType":"a","payload":{}}`, 404, "Application not found"},
		{"GET", "/nothing", "", 404, `"code":"not_found"`},
		{"PUT", "/app/acme/msg", "{}", 405, `"code":"method_not_allowed"`},
		{"POST", "/app", `{"name":"Acme","uid":"acme"}`, 409, `"code":"conflict"`},
		{"POST", "/app?get_if_exists=true", `{"name":"Other","uid":"acme"}`, 200, `"name":"Acme"`},
		{"POST", "/app/acme/msg", `{"eventType":"a","eventId":"once","payload":{}}`, 409, `"code":"conflict"`},
		{"POST", "/app/acme/msg", large, 413, `"code":"payload_too_large"`},
		{"POST", "/app", ``, 422, `"loc":["body"]`},
		{"POST", "/app", `{"name":`, 422, `not valid JSON`},
		{"POST", "/app", `[]`, 422, `not a JSON object`},
		{"POST", "/app", "{\"name\":\"\xff\"}", 422, `not UTF-8`},
		{"POST", "/app", `{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, 422, `nested`},
		{"POST", "/app", `{"name":5}`, 422, `"loc":["body","name"]`},
		{"POST", "/app", `{"uid":"x"}`, 422, `"loc":["body","name"]`},
		{"POST", "/app", `{"name":"x","uid":"app_1"}`, 422, `"loc":["body","uid"]`},
		{"POST", "/app", `{"name":"x","throttleRate":0}`, 422, `"loc":["body","throttleRate"]`},
		{"POST", "/app/acme/endpoint", `{"url":"no url"}`, 422, `"loc":["body","url"]`},
		{"POST", "/app/acme/endpoint", `{"url":"ftp://x/"}`, 422, `http://`},
		{"POST", "/app/acme/endpoint", `{"url":"http://x","eventTypes":["a b"]}`, 422, `"loc":["body","eventTypes"]`},
		{"POST", "/app/acme/endpoint", `{"url":"http://x","eventTypes":["a",7]}`, 422, `"loc":["body","eventTypes","[1]"]`},
		{"POST", "/app/acme/endpoint", `{"url":"http://x","secret":"whsec_short"}`, 422, `"loc":["body","secret"]`},
		{"POST", "/app/acme/endpoint", `{"url":"http://x","uid":"first"}`, 409, `"code":"conflict"`},
		{"POST", "/app/acme/msg", `{"payload":{}}`, 422, `"loc":["body","eventType"]`},
		{"POST", "/app/acme/msg", `{"eventType":"a"}`, 422, `"loc":["body","payload"]`},
		{"POST", "/app/acme/msg", `{"eventType":"a","payload":[]}`, 422, `"loc":["body","payload"]`},
		{"GET", "/app?limit=0", "", 422, `"loc":["query","limit"]`},
		{"GET", "/app?limit=251", "", 422, `"loc":["query","limit"]`},
		{"GET", "/app?iterator=app_x", "", 422, `"loc":["query","iterator"]`},
		{"GET", "/app?order=up", "", 422, `"loc":["query","order"]`},
		{"GET", "/app/acme/attempt/endpoint/first?status=x", "", 422, `"loc":["query","status"]`},
		{"GET", "/app/acme/msg?before=yesterday", "", 422, `"loc":["query","before"]`},
		{"GET", "/app/acme/msg?event_types=a,%ff", "", 422, `"loc":["query","event_types"]`},
		{"GET", "/app/acme/msg?channel=%ff", "", 422, `"loc":["query","channel"],"msg":"must be UTF-8"`},
		{"GET", "/app/acme/msg?tag=%ed%a0%80", "", 422, `"loc":["query","tag"]`},
		{"GET", "/app/acme/attempt/endpoint/first?tag=%ff", "", 422, `"loc":["query","tag"]`},
		{"GET", "/app?search=%ff", "", 422, `"loc":["query","search"]`},
		{"POST", "/event-type", `{"name":"a","description":"","schemas":{"1":{"title":"\ud800"}}}`, 422, `"loc":["body","schemas","1"]`},
		{"POST", "/event-type", `{"name":"a","description":"","schemas":{"1":{"examples":[{"\udc00\ud800":1}]}}}`, 422, `Unicode`},
		{"POST", "/event-type/import/openapi", `{"spec":{"openapi":"3.1.0","webhooks":{"a":{"post":{"description":"\ud800"}}}}}`, 422, `Unicode`},
		{"POST", "/event-type", `{"name":"a","description":"","schemas":{"1":{"title":"\ud83d\ude00 \\ud800"}}}`, 201, `"name":"a"`},
		{"GET", "/app/acme/", "", 200, `"uid":"acme"`},
		{"GET", "//app//acme", "", 404, `"code":"not_found"`},
		{"GET", "/app/%61cme", "", 200, `"uid":"acme"`},
	}
	for _, test := range tests {
		response, text := a.raw(test.method, "/api/v1"+test.path, "Bearer "+apiToken, []byte(test.body))
		if response.StatusCode != test.status || !strings.Contains(string(text), test.want) || !json.Valid(text) {
			t.Errorf("%s %s %.60s: %d %s; want %d and %s", test.method, test.path, test.body, response.StatusCode, text, test.status, test.want)
		}
	}
	for _, authorization := range []string{"", "Bearer", "Bearer wrong", apiToken, "Basic " + apiToken} {
		response, text := a.raw("GET", "/api/v1/app", authorization, nil)
		if response.StatusCode != 401 || !strings.Contains(string(text), "authentication_failed") {
			t.Errorf("%q: %d %s", authorization, response.StatusCode, text)
		}
	}
}

// TestAPIPages goes through a list to its end and back while others add to it.
func TestAPIPages(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	const count = 23
	send := func(name string) {
		a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"`+name+`","payload":{}}`, 202, nil)
	}
	for i := range count {
		send(fmt.Sprint("m", i))
	}
	var forward, back []string
	path := "/app/acme/msg?limit=5"
	var last apiList
	for {
		a.call("GET", path, "", 200, &last)
		for _, m := range last.Data {
			forward = append(forward, m.EventID)
		}
		if last.Done {
			break
		}
		send(fmt.Sprint("late", len(forward))) // newer than all that this walk will see
		path = "/app/acme/msg?limit=5&iterator=" + *last.Iterator
	}
	if len(forward) != count || forward[0] != fmt.Sprint("m", count-1) || forward[count-1] != "m0" {
		t.Errorf("forward: %v", forward)
	}
	for path = "/app/acme/msg?limit=5&iterator=" + *last.PrevIterator; ; path = "/app/acme/msg?limit=5&iterator=" + *last.PrevIterator {
		last = apiList{}
		a.call("GET", path, "", 200, &last)
		for _, m := range slices.Backward(last.Data) {
			back = append(back, m.EventID)
		}
		if last.Done {
			break
		}
	}
	if want := "m3"; len(back) < count-3 || back[0] != want || !strings.HasPrefix(back[len(back)-1], "late") {
		t.Errorf("back: %v", back)
	}
}

func TestAPIOperations(t *testing.T) {
	a := apiStart(t)
	a.call("GET", "/app", "", 200, nil) // waits for the leader
	response, text := a.raw("GET", "/api/v1/health", "", nil)
	if response.StatusCode != 200 || !strings.Contains(string(text), `"state":"leader"`) {
		t.Errorf("health: %d %s", response.StatusCode, text)
	}
	if response, _ := a.raw("HEAD", "/api/v1/health/ping", "", nil); response.StatusCode != 204 {
		t.Errorf("ping: %d", response.StatusCode)
	}
	_, text = a.raw("GET", "/metrics", "", nil)
	for _, name := range []string{"hookwheel_messages_accepted_total", `hookwheel_attempts_total{outcome="timeout"}`, "hookwheel_attempts_in_flight", "hookwheel_retries_waiting",
		"hookwheel_commit_duration_seconds_bucket", "hookwheel_delivery_duration_seconds_bucket", "hookwheel_raft_leader", "hookwheel_raft_term", "hookwheel_expired_messages 0", "go_goroutines"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("no metric %s", name)
		}
	}
}

// A client that is still sending hears why its body is refused, and not of a reset connection.
func TestAPITooLarge(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	body := bytes.Repeat([]byte("x"), 3<<20)
	for range 30 {
		if response, text := a.raw("POST", "/api/v1/app/acme/msg", "Bearer "+apiToken, body); response.StatusCode != 413 {
			t.Fatalf("%d %s", response.StatusCode, text)
		}
	}
}
