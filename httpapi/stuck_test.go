package httpapi_test

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/systemtest/wait"
)

var (
	firstSeed = flag.Int64("seed", 0, "the first seed of TestNothingGetsStuck")
	seeds     = flag.Int64("seeds", 2, "how many seeds TestNothingGetsStuck runs")
)

// moody is a receiver that fails at random until it is healed.
type moody struct {
	*httptest.Server
	healthy atomic.Bool
	mu      sync.Mutex
	rnd     *rand.Rand
	got     map[string]bool // ids of messages that it took
}

func newMoody(t *testing.T, seed int64) *moody {
	r := &moody{rnd: rand.New(rand.NewSource(seed)), got: make(map[string]bool)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *moody) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	mood := r.rnd.Intn(20)
	if r.healthy.Load() {
		mood = 19
	}
	switch {
	case mood < 6:
		w.WriteHeader(http.StatusInternalServerError)
	case mood == 6:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
	case mood == 7:
		w.Header().Set("webhook-delivery", "abort-message")
		w.WriteHeader(http.StatusBadRequest)
	case mood == 8:
		panic(http.ErrAbortHandler)
	default:
		r.got[request.Header.Get("webhook-id")] = true
	}
}

func (r *moody) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[id]
}

// TestNothingGetsStuck does to endpoints, in random order, all that can be done to them while their
// receivers fail. When that ends and the receivers are well, what waits is sent, what was begun
// comes to an end, and what is new arrives.
func TestNothingGetsStuck(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			a := apiStartLogging(t, log, func(c *config.Config) {
				c.Delivery.Retry.Delays = make([]time.Duration, 6)
				for i := range c.Delivery.Retry.Delays {
					c.Delivery.Retry.Delays[i] = time.Duration(50*(i+1)) * time.Millisecond
				}
				b := &c.Delivery.Breaker
				b.Window, b.MinAttempts, b.Probe, b.MaxProbe = time.Second, 5, 50*time.Millisecond, 200*time.Millisecond
			})
			troubleEndpoints(t, a, rand.New(rand.NewSource(seed)))
		})
	}
}

func troubleEndpoints(t *testing.T, a *api, rnd *rand.Rand) {
	const endpoints, rounds = 5, 300
	receivers := make([]*moody, endpoints)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for i := range receivers {
		receivers[i] = newMoody(t, rnd.Int63())
		a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e%d","url":%q}`, i, receivers[i].URL), 201, nil)
	}
	var sent, tasks []string
	for range rounds {
		var m apiThing
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","payload":{},"channels":["c%d"],"orderingKey":"k%d"%s}`, rnd.Intn(2), rnd.Intn(3),
			pick(rnd, "", "", "", fmt.Sprintf(`,"deliverAt":%q`, time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)))), 202, &m)
		sent = append(sent, m.ID)
		path := fmt.Sprintf("/app/acme/endpoint/e%d", rnd.Intn(endpoints))
		switch rnd.Intn(12) {
		case 0:
			a.call("PATCH", path, pick(rnd, `{"ordering":"endpoint"}`, `{"ordering":"key"}`, `{"ordering":null}`), 200, nil)
		case 1:
			a.call("PATCH", path, pick(rnd, `{"channels":["c1"]}`, `{"channels":null}`), 200, nil)
		case 2:
			a.call("PATCH", path, pick(rnd, `{"disabled":true}`, `{"disabled":false}`, `{"onExhausted":"block"}`, `{"onExhausted":"skip"}`), 200, nil)
		case 3:
			a.call("PATCH", path, pick(rnd, `{"throttleRate":50}`, `{"throttleRate":null}`), 200, nil)
		case 4:
			a.call("POST", path+"/pause", "", 200, nil)
		case 5:
			a.call("POST", path+"/resume", pick(rnd, `{}`, `{"from":"now"}`), 200, nil)
		case 6:
			_, _ = a.raw("POST", "/api/v1/app/acme/msg/"+sent[rnd.Intn(len(sent))]+path[len("/app/acme"):]+"/resend", "Bearer "+apiToken, nil)
		case 7:
			_, _ = a.raw("DELETE", "/api/v1/app/acme/msg/"+sent[rnd.Intn(len(sent))]+"/content", "Bearer "+apiToken, nil)
		case 8, 9:
			var task apiTask
			a.call("POST", path+pick(rnd, "/recover", "/replay-missing", "/bulk-replay"), sinceAnHour(pick(rnd, "", `,"rate":50`)), 202, &task)
			if tasks = append(tasks, task.ID); len(tasks) > 8 { // there may be 16 of an endpoint
				_, _ = a.raw("POST", "/api/v1/background-task/"+tasks[0]+"/cancel", "Bearer "+apiToken, nil)
				tasks = tasks[1:]
			}
		case 10:
			if len(tasks) > 0 { // unless it is over
				_, _ = a.raw("POST", "/api/v1/background-task/"+tasks[rnd.Intn(len(tasks))]+pick(rnd, "/pause", "/resume"), "Bearer "+apiToken, nil)
			}
		default:
			time.Sleep(20 * time.Millisecond) // in which attempts end
		}
	}
	for i, r := range receivers {
		r.healthy.Store(true)
		path := fmt.Sprintf("/app/acme/endpoint/e%d", i)
		a.call("PATCH", path, `{"disabled":false,"channels":null}`, 200, nil)
		a.call("POST", path+"/resume", "", 200, nil)
	}
	for _, task := range tasks {
		_, _ = a.raw("POST", "/api/v1/background-task/"+task+"/resume", "Bearer "+apiToken, nil)
	}
	var canary apiThing
	a.call("POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`, 202, &canary)
	for i, r := range receivers {
		awaitQuiet(a, fmt.Sprintf("e%d", i), sent, func() bool { return r.has(canary.ID) })
	}
	for _, task := range tasks {
		awaitOver(a, task, sent)
	}
}

func pick(rnd *rand.Rand, choices ...string) string { return choices[rnd.Intn(len(choices))] }

// awaitEnd waits until look reports the end of something. If what else it returns does not change
// for long, it is stuck, and awaitEnd returns false; what only takes long on a busy machine is not.
func awaitEnd(look func() (progress string, over bool)) bool {
	var before string
	for changed := time.Now(); time.Since(changed) < wait.Patience; time.Sleep(10 * time.Millisecond) {
		progress, over := look()
		if over {
			return true
		}
		if progress != before {
			before, changed = progress, time.Now()
		}
	}
	return false
}

// awaitQuiet waits until an endpoint has what it is to have, and nothing waits for it.
func awaitQuiet(a *api, uid string, sent []string, arrived func() bool) {
	a.t.Helper()
	var endpoint struct {
		Ordering, OnExhausted string
		ThrottleRate          int
		Health                struct {
			Text                             string
			Oldest                           time.Time
			Behind, Waiting, Requested, Held int
		}
	}
	h := &endpoint.Health
	if !awaitEnd(func() (progress string, over bool) {
		a.call("GET", "/app/acme/endpoint/"+uid, "", 200, &endpoint)
		return fmt.Sprint(h.Behind, h.Waiting, h.Requested, h.Held), arrived() && h.Waiting+h.Held == 0
	}) {
		a.t.Errorf("%s (ordering %q, %q, rate %d) is stuck: the newest has arrived: %t; %s\n%s", uid,
			endpoint.Ordering, endpoint.OnExhausted, endpoint.ThrottleRate, arrived(), h.Text, whatWaits(a, uid, sent, h.Oldest))
	}
}

// whatWaits says of some of the messages that wait for an endpoint, or for any if uid is empty, why
// they do, and until when; and of the oldest, which may be delivered and wait in error, what
// happened to it.
func whatWaits(a *api, uid string, sent []string, oldest time.Time) string {
	var text strings.Builder
	left := 10
	for _, id := range sent {
		var x struct {
			AcceptedAt time.Time
			Data       []struct{ EndpointUID, State, Text string }
		}
		a.call("GET", "/app/acme/msg/"+id+"/explain", "", 200, &x)
		if x.AcceptedAt.Equal(oldest) {
			_, attempts := a.raw("GET", "/api/v1/app/acme/attempt/msg/"+id+"?limit=250", "Bearer "+apiToken, nil)
			fmt.Fprintf(&text, "attempts at %s, which is the oldest: %s\n", id, attempts)
		}
		for _, d := range x.Data {
			switch d.State {
			case "retrying", "scheduled", "sending", "held", "requested", "waiting":
				if strings.HasPrefix(d.EndpointUID, uid) && left > 0 {
					left--
					fmt.Fprintf(&text, "%s is %s at %s: %s\n", id, d.State, d.EndpointUID, d.Text)
				}
			}
		}
	}
	_, metrics := a.raw("GET", "/metrics", "", nil)
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "hookwheel_attempts_") && !strings.Contains(line, "_bucket") || strings.HasPrefix(line, "hookwheel_retries_waiting") {
			text.WriteString(line)
		}
	}
	return text.String()
}

// awaitOver waits until a task is over.
func awaitOver(a *api, id string, sent []string) {
	a.t.Helper()
	var task apiTask
	if !awaitEnd(func() (progress string, over bool) {
		a.call("GET", "/background-task/"+id, "", 200, &task)
		return fmt.Sprint(task.Data.Looked, task.Data.Delivered, task.Data.Failed), task.Data.State != "running" && task.Data.State != "paused"
	}) {
		_, text := a.raw("GET", "/api/v1/background-task/"+id, "Bearer "+apiToken, nil)
		a.t.Errorf("a task is stuck: %s\n%s", text, whatWaits(a, "", sent, time.Time{}))
	}
}
