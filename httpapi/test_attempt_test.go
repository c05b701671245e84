package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"hookwheel/delivery/receivertest"
)

type apiTest struct {
	Status             int
	Response           string
	ResponseStatusCode int
	Trace              struct{ SentBytes int }
	Headers            struct {
		SentHeaders     map[string]string
		ResponseHeaders [][2]string
	}
}

// A test sends an example at once, signed as a delivery, responds with everything, and keeps
// nothing.
func TestTestAttempt(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"invoice.paid","description":"","schemas":{"1":{"examples":[{"n":1},{"n":2}]}}}`, 201, nil)
	receiver.Say(http.StatusTeapot)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	body := fmt.Sprintf(`{"url":%q,"secret":%q,"headers":{"X-Team":"billing"},"eventType":"invoice.paid","exampleIndex":1}`, receiver.URL, secret)
	var out apiTest
	a.call("POST", "/app/acme/msg/test-attempt", body, 200, &out)
	requests := receiver.Await(t, 1)
	if string(requests[0].Body) != `{"n":2}` || requests[0].Header.Get("X-Team") != "billing" {
		t.Errorf("received %q %v", requests[0].Body, requests[0].Header)
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(requests[0].Body, requests[0].Header); err != nil {
		t.Errorf("signature: %v", err)
	}
	sameID := out.Headers.SentHeaders["Webhook-Id"] == requests[0].ID
	received := slices.ContainsFunc(out.Headers.ResponseHeaders, func(h [2]string) bool { return h[0] == "Content-Length" })
	if out.Status != 2 || out.ResponseStatusCode != http.StatusTeapot || out.Response != "thanks" || out.Trace.SentBytes == 0 || !sameID || !received {
		t.Errorf("response %+v", out)
	}
	for _, path := range []string{"/app/acme/endpoint", "/app/acme/msg", "/app/acme/attempt"} {
		var list apiList
		a.call("GET", path, "", 200, &list)
		if len(list.Data) > 0 {
			t.Errorf("%s keeps %d", path, len(list.Data))
		}
	}

	receiver.Say(http.StatusOK)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q,"disabled":true}`, receiver.URL), 201, nil)
	a.call("POST", "/app/acme/endpoint/e/msg/test-attempt", "", 200, &out)
	if out.Status != 0 || len(receiver.Await(t, 2)) != 2 {
		t.Errorf("an endpoint that is disabled: %+v", out)
	}
}

func TestTestAttemptRefused(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	portal := a.portalToken("acme")
	for body, status := range map[string]int{
		`{}`: 422, `{"url":"no url"}`: 422, `{"url":"http://127.0.0.1:9/","exampleIndex":-1}`: 422,
		`{"url":"http://127.0.0.1:9/","eventType":"none"}`: 404, `{"url":"http://127.0.0.1:9/","secret":"short"}`: 422, `[]`: 422,
	} {
		if response, text := a.raw("POST", "/api/v1/app/acme/msg/test-attempt", "Bearer "+portal, []byte(body)); response.StatusCode != status {
			t.Errorf("%s: %d %.200s", body, response.StatusCode, text)
		}
	}
	// Private addresses are refused where the connection is made, as for deliveries.
	for _, url := range []string{"http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/"} {
		var out apiTest
		a.call("POST", "/app/acme/msg/test-attempt", `{"url":"`+url+`"}`, 200, &out)
		if out.Status != 2 || out.ResponseStatusCode != 0 || out.Trace.SentBytes != 0 {
			t.Errorf("%s: %+v", url, out)
		}
	}
}

// An application has few tests under way at a time, so that its receivers can't occupy a node, and
// all applications together have not many.
func TestTestAttemptsAtOnce(t *testing.T) {
	a := apiStart(t)
	release, arrived := make(chan struct{}), make(chan struct{}, 20)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer slow.Close()
	try := func(app string) (int, string) {
		response, text := a.raw("POST", "/api/v1/app/"+app+"/msg/test-attempt", "Bearer "+apiToken, []byte(`{"url":"`+slow.URL+`"}`))
		return response.StatusCode, string(text)
	}
	a.call("POST", "/app", `{"name":"A","uid":"other"}`, 201, nil)
	for i := range 8 {
		a.call("POST", "/app", fmt.Sprintf(`{"name":"A","uid":"app-%d"}`, i), 201, nil)
	}
	var wg sync.WaitGroup
	begun := time.Now()
	for i := range 16 {
		wg.Go(func() {
			if status, text := try(fmt.Sprint("app-", i%8)); status != 200 {
				t.Errorf("%d %.200s", status, text)
			}
		})
	}
	for range 16 {
		<-arrived
	}
	own, text := try("app-0")
	all, textOfAll := try("other")
	slowly := time.Since(begun) > 7*time.Second // the first have ended by themselves, or may have
	close(release)
	wg.Wait()
	if slowly {
		t.Skip("this machine is too busy to have so many tests under way")
	}
	if own != 429 || !strings.Contains(text, "test attempts of this application") {
		t.Errorf("a third of an application: %d %s", own, text)
	}
	if all != 503 || !strings.Contains(textOfAll, "16 test attempts are under way") {
		t.Errorf("a seventeenth: %d %s", all, textOfAll)
	}
	if status, text := try("other"); status != 200 {
		t.Errorf("when all have ended: %d %s", status, text)
	}
}
