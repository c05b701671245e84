package httpapi_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

// TestMaxSize: a store that may take so much takes no more events while an endpoint waits for all
// that it has; once they are delivered it makes room.
func TestMaxSize(t *testing.T) {
	const maxSize = 200 << 10
	a := apiStart(t, func(c *config.Config) { c.Storage.MaxSize = maxSize })
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	event := []byte(`{"eventType":"a","payload":{"text":"` + strings.Repeat("x", 1<<10) + `"}}`)
	taken := 0
	post := func() *http.Response {
		response, body := a.raw("POST", "/api/v1/app/acme/msg", "Bearer "+apiToken, event)
		switch response.StatusCode {
		case http.StatusAccepted:
			taken++
		case http.StatusInsufficientStorage:
			if response.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "max_size") {
				t.Errorf("%v: %s", response.Header, body)
			}
		default:
			t.Fatalf("%d: %s", response.StatusCode, body)
		}
		return response
	}
	for post().StatusCode == http.StatusAccepted && taken < 1000 {
	}
	// All else that is stored counts, too.
	if taken < maxSize>>10*3/4 || taken > 2*maxSize>>10 {
		t.Fatalf("%d events of a KiB were taken, though all that is there may take %d KiB", taken, maxSize>>10)
	}
	var health struct {
		Status     string
		StoreBytes int64
	}
	if a.call("GET", "/health", "", 200, &health); health.Status != "full" || health.StoreBytes <= maxSize {
		t.Errorf("%+v", health)
	}
	a.call("POST", "/app/acme/endpoint/e/resume", "{}", 200, nil)
	receiver.Await(t, taken)
	wait.For(t, "events to be accepted, as all are delivered", func() bool { return post().StatusCode == http.StatusAccepted })
	receiver.Await(t, taken)
	wait.For(t, "the store to shrink to its limit", func() bool {
		a.call("GET", "/health", "", 200, &health)
		return health.Status == "ok" && health.StoreBytes <= maxSize
	})
}

// TestRoomIsMade: events that are all delivered at once are not refused, though they come faster
// than the old ones leave.
func TestRoomIsMade(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Storage.MaxSize, c.API.MaxBody = 4<<20, 1<<20 })
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	event := []byte(`{"eventType":"a","payload":{"text":"` + strings.Repeat("x", 400_000) + `"}}`)
	const senders, each = 4, 15
	var taken, refused atomic.Int32
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				switch response, body := a.raw("POST", "/api/v1/app/acme/msg", "Bearer "+apiToken, event); response.StatusCode {
				case http.StatusAccepted:
					taken.Add(1)
				case http.StatusInsufficientStorage:
					refused.Add(1)
					t.Logf("%s", body)
				default:
					t.Errorf("%d: %s", response.StatusCode, body)
				}
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of %d events were refused", n, senders*each)
	}
	receiver.Await(t, int(taken.Load()))
}

// TestShareOfMaxSize: one application that nobody delivers for uses up its share, and is told so;
// the others are not refused.
func TestShareOfMaxSize(t *testing.T) {
	const maxSize = 1 << 20
	a := apiStart(t, func(c *config.Config) { c.Storage.MaxSize = maxSize })
	receiver := receivertest.Start(t, nil)
	apps := []string{"flood", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q9"}
	for _, app := range apps {
		a.call("POST", "/app", `{"name":"Acme","uid":"`+app+`"}`, 201, nil)
		a.call("POST", "/app/"+app+"/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
		a.call("POST", "/app/"+app+"/endpoint/e/pause", "", 200, nil)
	}
	post := func(app string, size int) (status int, body string) {
		event := []byte(`{"eventType":"a","payload":{"text":"` + strings.Repeat("x", size) + `"}}`)
		response, data := a.raw("POST", "/api/v1/app/"+app+"/msg", "Bearer "+apiToken, event)
		return response.StatusCode, string(data)
	}
	taken := 0
	for {
		status, body := post("flood", 16<<10)
		if status == http.StatusInsufficientStorage {
			if !strings.Contains(body, "share of storage.max_size") || !strings.Contains(body, "is raised") {
				t.Errorf("the flood is refused without a word about its share: %s", body)
			}
			break
		}
		if taken++; status != http.StatusAccepted || taken > 2*maxSize>>14 {
			t.Fatalf("event %d of the flood: %d %s", taken, status, body)
		}
	}
	a.call("POST", "/auth/app-portal-access/flood", "{}", 200, nil) // there its customer can make room
	for _, app := range apps[1:] {
		for range 3 {
			if status, body := post(app, 1<<10); status != http.StatusAccepted {
				t.Fatalf("%s is refused: %d %s", app, status, body)
			}
			taken++
		}
	}
	for _, app := range apps {
		a.call("POST", "/app/"+app+"/endpoint/e/resume", "{}", 200, nil)
	}
	receiver.Await(t, taken)
}
