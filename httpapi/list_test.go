package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
)

// TestAttemptsOfApplication lists the attempts at all endpoints of an application, newest first.
func TestAttemptsOfApplication(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	receiver := receivertest.Start(t, nil)
	for _, app := range []string{"acme", "other"} {
		a.call("POST", "/app", `{"name":"A","uid":"`+app+`"}`, 201, nil)
		for _, uid := range []string{"one", "two"} {
			a.call("POST", "/app/"+app+"/endpoint", fmt.Sprintf(`{"uid":%q,"url":%q}`, uid, receiver.URL), 201, nil)
		}
	}
	for i := range 3 {
		for _, app := range []string{"acme", "other"} {
			a.call("POST", "/app/"+app+"/msg", fmt.Sprintf(`{"eventType":"t.%d","eventId":"m%d","payload":{}}`, i, i), 202, nil)
			a.awaitAttempts(fmt.Sprintf("/app/%s/attempt/msg/m%d", app, i), 2)
		}
	}
	receiver.Say(http.StatusInternalServerError)
	a.call("POST", "/app/acme/msg", `{"eventType":"t.3","payload":{}}`, 202, nil)
	list := a.awaitAttempts("/app/acme/attempt", 8)
	for i := range list.Data[1:] {
		if list.Data[i].ID <= list.Data[i+1].ID {
			t.Errorf("not newest first: %s, %s", list.Data[i].ID, list.Data[i+1].ID)
		}
	}
	var paged []string
	for path := "/app/acme/attempt?limit=3"; ; {
		page := a.list(path)
		for _, attempt := range page.Data {
			paged = append(paged, attempt.ID)
		}
		if page.Done {
			break
		}
		path = "/app/acme/attempt?limit=3&iterator=" + *page.Iterator
	}
	var all []string
	for _, attempt := range list.Data {
		all = append(all, attempt.ID)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("in pages %v, at once %v", paged, all)
	}
	for query, want := range map[string]int{
		"status=2": 2, "status=0": 6, "event_types=t.1,t.3": 4, "status_code_class=500": 2, "endpoint_id=one": 4,
		"after=2020-01-01T00:00:00Z": 8, "before=2020-01-01T00:00:00Z": 0, "channel=x": 0, "with_msg=true&with_content=false": 8,
	} {
		if got := a.list("/app/acme/attempt?" + query); len(got.Data) != want {
			t.Errorf("%s: %d attempts, want %d", query, len(got.Data), want)
		}
	}
	var foreign apiThing
	a.call("GET", "/app/other/endpoint/one", "", 200, &foreign)
	a.call("GET", "/app/acme/attempt?endpoint_id="+foreign.ID, "", 404, nil)
	a.call("GET", "/app/acme/attempt?status=9", "", 422, nil)
	a.call("GET", "/app/nobody/attempt", "", 404, nil)
	response, text := a.raw("GET", "/api/v1/app/acme/attempt", "Bearer "+a.portalToken("other"), nil)
	if response.StatusCode != 404 {
		t.Errorf("with the token of another application: %d %s", response.StatusCode, text)
	}
}

// TestSearch finds applications by name and uid, and messages by the beginning of their IDs and by
// payload.
func TestSearch(t *testing.T) {
	a := apiStart(t)
	for _, app := range []string{`{"name":"Acme Inc.","uid":"first"}`, `{"name":"Other","uid":"ACME-2"}`, `{"name":"Third"}`} {
		a.call("POST", "/app", app, 201, nil)
	}
	for query, want := range map[string]int{"acme": 2, "ACME": 2, "inc.": 1, "nothing": 0, "": 3, "acme&limit=1": 1, "r": 3} {
		if got := a.list("/app?search=" + query); len(got.Data) != want {
			t.Errorf("applications with %q: %d, want %d", query, len(got.Data), want)
		}
	}
	var ids []string
	for i, payload := range []string{`{"who":"Zoë"}`, `{"who":"Zed"}`, `{"n":1234}`} {
		var m apiThing
		a.call("POST", "/app/first/msg", fmt.Sprintf(`{"eventType":"t","eventId":"inv-%d","payload":%s}`, i, payload), 202, &m)
		ids = append(ids, m.ID)
	}
	for query, want := range map[string]int{"inv-": 3, "inv-1": 1, "nv-1": 0, "Z": 2, "Zo%C3%AB": 1, "z": 0, "1234": 1, ids[1]: 1, "msg_": 3,
		"Z&event_types=u": 0, "Z&with_content=false": 2} {
		if got := a.list("/app/first/msg?search=" + query); len(got.Data) != want {
			t.Errorf("messages with %q: %d, want %d", query, len(got.Data), want)
		}
	}
	for _, path := range []string{"/app", "/app/first/msg"} {
		a.call("GET", path+"?search="+strings.Repeat("a", 257), "", 422, nil)
		a.call("GET", path+"?search=%ff", "", 422, nil)
	}
}

// TestSearchSaysHowFar searches more payload than one page reads: it says how far it has looked,
// and goes on from there.
func TestSearchSaysHowFar(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 2 << 20 })
	a.call("POST", "/app", `{"name":"A","uid":"a"}`, 201, nil)
	a.call("POST", "/app/a/msg", `{"eventType":"t","eventId":"oldest","payload":{"n":"needle"}}`, 202, nil)
	large := `{"eventType":"t","payload":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`
	for range 25 { // not by a.call, which would take its time to hold each to the document
		request, err := http.NewRequest("POST", a.url+"/api/v1/app/a/msg?with_content=false", strings.NewReader(large))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+apiToken)
		response, err := http.DefaultClient.Do(request)
		if err != nil || response.StatusCode != 202 {
			t.Fatal(response, err)
		}
		response.Body.Close()
	}
	var page struct {
		Data       []apiThing
		Iterator   *string
		Done       bool
		SearchedTo *time.Time
	}
	a.call("GET", "/app/a/msg?search=needle&with_content=false", "", 200, &page)
	if len(page.Data) != 0 || page.Done || page.SearchedTo == nil || page.Iterator == nil {
		t.Fatalf("%+v", page)
	}
	a.call("GET", "/app/a/msg?search=needle&with_content=false&iterator="+*page.Iterator, "", 200, &page)
	if len(page.Data) != 1 || !page.Done || page.Data[0].EventID != "oldest" {
		t.Errorf("%+v", page)
	}
	// Nor does a page without contents, or one whose filter matches nothing, read more than that.
	page.Iterator = nil
	a.call("GET", "/app/a/msg?limit=250&with_content=false", "", 200, &page)
	if len(page.Data) < 19 || len(page.Data) > 21 || page.Done || page.Iterator == nil {
		t.Errorf("%d messages, done: %t", len(page.Data), page.Done)
	}
	a.call("GET", "/app/a/msg?tag=absent&with_content=false", "", 200, &page)
	if len(page.Data) != 0 || page.Done || page.Iterator == nil {
		t.Errorf("%d messages, done: %t", len(page.Data), page.Done)
	}
}

// TestMessagesWithStatus counts the outcomes of messages at the endpoints.
func TestMessagesWithStatus(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	good, bad := receivertest.Start(t, nil), receivertest.Start(t, nil)
	bad.Say(http.StatusInternalServerError)
	a.call("POST", "/event-type", `{"name":"wanted","description":""}`, 201, nil)
	a.call("POST", "/app", `{"name":"A","uid":"a"}`, 201, nil)
	for _, endpoint := range []string{`"url":"` + good.URL + `"`, `"url":"` + bad.URL + `"`, `"url":"` + good.URL + `","filterTypes":["wanted"]`} {
		a.call("POST", "/app/a/endpoint", "{"+endpoint+"}", 201, nil)
	}
	a.call("POST", "/app/a/msg", `{"eventType":"t","eventId":"m","payload":{}}`, 202, nil)
	a.awaitAttempts("/app/a/attempt/msg/m", 2)
	var list struct {
		Data []struct {
			EventID  string
			Outcomes *struct{ Delivered, Pending, Failed int }
		}
	}
	a.call("GET", "/app/a/msg?with_status=true", "", 200, &list)
	if got := list.Data[0].Outcomes; got == nil || got.Delivered != 1 || got.Pending != 1 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	list.Data = nil
	a.call("GET", "/app/a/msg", "", 200, &list)
	if list.Data[0].Outcomes != nil {
		t.Error("outcomes that nobody asked for")
	}
	a.call("GET", "/app/a/msg?with_status=maybe", "", 422, nil)
}
