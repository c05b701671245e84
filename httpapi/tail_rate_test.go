package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/wait"
)

// tailCounts adds up what events of a stream say.
type tailCounts struct {
	attempts, changes int // sent
	skipped           int // counted
	pulsed            int // attempts that pulses count
	pulses            int
	lag               bool // whether a pulse has it
	oldest            bool
}

func countTail(t *testing.T, tail *apitest.Tail) (c tailCounts) {
	t.Helper()
	type results struct{ Success, Fail, Canceled int }
	for _, event := range tail.Events() {
		var data struct {
			Attempts results
			Changes  int
			Lag      *int
			Backlog  struct{ Oldest *string }
		}
		if err := json.Unmarshal([]byte(event.Data), &data); err != nil {
			t.Fatalf("%s: %v", event.Data, err)
		}
		sum := data.Attempts.Success + data.Attempts.Fail + data.Attempts.Canceled
		switch event.Name {
		case "attempt":
			c.attempts++
		case "change":
			c.changes++
		case "skipped":
			c.skipped += sum + data.Changes
		case "pulse":
			if event.ID != "" {
				t.Errorf("a pulse has the ID %s", event.ID)
			}
			c.pulses++
			c.pulsed += sum
			c.lag = c.lag || data.Lag != nil
			c.oldest = c.oldest || data.Backlog.Oldest != nil
		default:
			t.Errorf("the stream has an event %s: %s", event.Name, event.Data)
		}
	}
	return c
}

// TestTailRate: of many events some are sent and the others counted, live and of the past; nothing
// is lost when the stream continues.
func TestTailRate(t *testing.T) {
	const messages = 30
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	var begin string
	places(t, a.url, "", func(id string) bool { begin = id; return true })
	live := apitest.Follow(t, apiToken, "rate=2&from="+begin, a.url)
	counts := apitest.Follow(t, apiToken, "rate=0&from="+begin, a.url)
	ample := apitest.Follow(t, apiToken, "rate=100&app=acme&from="+begin, a.url)
	for range messages {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	}
	receiver.Await(t, messages) // an endpoint that is paused gets no more
	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	total := func(tail *apitest.Tail) int {
		c := countTail(t, tail)
		return c.attempts + c.changes + c.skipped
	}
	past := apitest.Follow(t, apiToken, "rate=1&from="+begin, a.url)
	for name, tail := range map[string]*apitest.Tail{"live": live, "counts only": counts, "an ample rate": ample, "the past": past} {
		wait.For(t, name, func() bool { return total(tail) >= messages+1 })
		c := countTail(t, tail)
		if total(tail) != messages+1 {
			t.Errorf("%s: %+v, want %d", name, c, messages+1)
		}
		if name == "counts only" && c.attempts+c.changes > 0 || name != "counts only" && c.attempts+c.changes == 0 {
			t.Errorf("%s: %+v", name, c)
		}
		var ids []string
		for _, event := range tail.Events() {
			ids = append(ids, event.ID)
		}
		if !slices.IsSorted(ids) {
			t.Errorf("%s: the IDs are not in order", name)
		}
	}
	// A stream that continues after what was counted does not repeat it.
	events := counts.Events()
	again := apitest.Follow(t, apiToken, "from="+events[len(events)-1].ID, a.url)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, nil)
	if got := again.Await(t, 1); got[0] != "endpoint.resumed" {
		t.Errorf("the stream continues with %v", got)
	}
	for _, query := range []string{"rate=-1", "rate=101", "rate=x", "rate=", "rate=1.5", "pulse=1", "pulse="} {
		if response, text := a.raw("GET", "/api/v1/tail?"+query, "Bearer "+apiToken, nil); response.StatusCode != 422 {
			t.Errorf("%s: %d %s", query, response.StatusCode, text)
		}
	}
}

// TestTailPulse: operators get counts of everything or of an application, and the tokens of an
// application get its own.
func TestTailPulse(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	for _, app := range []string{"one", "two"} {
		a.call("POST", "/app", `{"name":"A","uid":"`+app+`"}`, 201, nil)
		a.call("POST", "/app/"+app+"/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	}
	reader := a.newKey(`{"name":"k","role":"reader"}`)
	streams := map[string]struct {
		tail *apitest.Tail
		want int
	}{
		"an operator":            {apitest.Follow(t, apiToken, "rate=0&pulse=true", a.url), 8},
		"a reader":               {apitest.Follow(t, reader.Token, "rate=0&pulse=true", a.url), 8},
		"an operator, of one":    {apitest.Follow(t, apiToken, "rate=0&pulse=true&app=one", a.url), 3},
		"a customer":             {apitest.Follow(t, a.portalToken("one"), "rate=0&pulse=true", a.url), 3},
		"a customer with a name": {apitest.Follow(t, a.portalToken("two"), "rate=0&pulse=true&app=two&endpoint=e&status=2", a.url), 5},
	}
	for name, stream := range streams {
		wait.For(t, name+" gets pulses", func() bool { return countTail(t, stream.tail).pulses > 0 })
	}
	a.call("POST", "/app/two/endpoint", `{"url":"`+receiver.URL+`","uid":"paused"}`, 201, nil)
	a.call("POST", "/app/two/endpoint/paused/pause", "", 200, nil)
	for app, messages := range map[string]int{"one": 3, "two": 5} {
		for i := range messages {
			a.call("POST", "/app/"+app+"/msg", fmt.Sprintf(`{"payload":{},"eventType":"a","eventId":"%d"}`, i), 202, nil)
		}
	}
	receiver.Await(t, 8)
	for name, stream := range streams {
		wait.For(t, name+" gets the counts", func() bool { return countTail(t, stream.tail).pulsed >= stream.want })
		c := countTail(t, stream.tail)
		if operator := strings.Contains(name, "operator") || strings.Contains(name, "reader"); c.pulsed != stream.want || c.lag != operator {
			t.Errorf("%s: %+v, want %d", name, c, stream.want)
		}
		ofTwo := !strings.Contains(name, "of one") && name != "a customer"
		if ofTwo {
			wait.For(t, name+" sees that messages wait", func() bool { return countTail(t, stream.tail).oldest })
		} else if c.oldest {
			t.Errorf("%s sees the backlog of another application", name)
		}
	}
}

// TestTailInBrowsers: a page of another origin may read the stream, also at the address of the
// portal; it is not buffered, and its frames are those of the standard.
func TestTailInBrowsers(t *testing.T) {
	const origin = "https://app.example.com"
	a := apiStart(t, func(c *config.Config) {
		c.API.CORS = []string{origin}
		c.Portal.Listen = "127.0.0.1:0"
	})
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	token := a.portalToken("acme")
	for _, url := range []string{a.url, "http://" + a.node.PortalAddr()} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/v1/tail?rate=10&pulse=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		request.Header.Set("Accept", "text/event-stream")
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Content-Type": "text/event-stream",
			"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Content-Length": "", "Access-Control-Allow-Credentials": ""} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", url, name, got, want)
			}
		}
		text := make([]byte, 4096)
		n, err := response.Body.Read(text)
		if frame := string(text[:n]); err != nil || !strings.HasPrefix(frame, "id: ev_") || !strings.HasSuffix(frame, "\nevent: place\ndata: {}\n\n") {
			t.Errorf("%s: the stream begins with %q, %v", url, frame, err)
		}
		response.Body.Close()
	}
}
