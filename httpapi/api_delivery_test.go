package httpapi_test

import (
	"cmp"
	"fmt"
	"net/http"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/scheduler"
	"hookwheel/systemtest/wait"
)

// An endpoint that says 410 is disabled at once, with an operational webhook, and one that fails
// for long enough after a probe; both keep what comes, and get it when they are enabled.
func TestDisabledEndpoints(t *testing.T) {
	status := map[string]int{"/gone": http.StatusGone, "/fails": http.StatusInternalServerError}
	receiver := receivertest.Start(t, func(a *receivertest.Arrival) int { return cmp.Or(status[a.Path], http.StatusOK) })
	a := apiStart(t, func(c *config.Config) {
		c.Delivery.Breaker = scheduler.BreakerPolicy{Window: time.Minute, MinAttempts: 2, FailureRate: 0.5, Probe: 20 * time.Millisecond, MaxProbe: 20 * time.Millisecond, Disable: 100 * time.Millisecond}
	})
	a.call("POST", "/app", `{"name": "Operator", "uid": "operational-webhooks"}`, 201, nil)
	a.call("POST", "/app/operational-webhooks/endpoint", `{"url": "`+receiver.URL+`/operational"}`, 201, nil)
	a.call("POST", "/app", `{"name": "Acme", "uid": "acme"}`, 201, nil)
	for path := range status {
		a.call("POST", "/app/acme/endpoint", `{"uid": "`+path[1:]+`", "url": "`+receiver.URL+path+`"}`, 201, nil)
	}
	for range 5 {
		a.call("POST", "/app/acme/msg", `{"eventType": "a", "payload": {}}`, 202, nil)
	}
	for path := range status {
		wait.For(t, path+" is disabled", func() bool {
			var e struct{ Disabled bool }
			a.call("GET", "/app/acme/endpoint"+path, "", 200, &e)
			return e.Disabled
		})
	}
	told := 0
	wait.For(t, "the operator is told of both", func() bool {
		var list struct{ Data []struct{ EventType string } }
		a.call("GET", "/app/operational-webhooks/msg?event_types=endpoint.disabled", "", 200, &list)
		told = len(list.Data)
		return told >= 2
	})
	if told != 2 {
		t.Errorf("the operator was told %d times", told)
	}
	var before struct{ Data []struct{ ID string } }
	a.call("GET", "/app/acme/attempt/endpoint/gone", "", 200, &before)
	a.call("POST", "/app/acme/endpoint", `{"uid": "other", "url": "`+receiver.URL+`/other"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"eventType": "a", "payload": {}}`, 202, nil)
	a.awaitAttempts("/app/acme/attempt/endpoint/other", 1)
	var after struct{ Data []struct{ ID string } }
	a.call("GET", "/app/acme/attempt/endpoint/gone", "", 200, &after)
	if len(after.Data) != len(before.Data) {
		t.Errorf("%d attempts were made at a disabled endpoint", len(after.Data)-len(before.Data))
	}
	a.call("PATCH", "/app/acme/endpoint/gone", `{"disabled": false, "url": "`+receiver.URL+`/well"}`, 200, nil)
	wait.For(t, "all six messages arrive", func() bool {
		well := 0
		for _, a := range receiver.Arrivals() {
			if a.Path == "/well" {
				well++
			}
		}
		return well >= 6
	})
}

// Limits of an endpoint and of an application are kept as the receiver counts: in no second more
// arrives.
func TestRateLimits(t *testing.T) {
	const own, all, messages = 15, 40, 60
	receiver := receivertest.Start(t, nil)
	a := apiStart(t)
	a.call("POST", "/app", fmt.Sprintf(`{"name": "Acme", "uid": "acme", "rateLimit": %d}`, all), 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"url": "%s/limited", "rateLimit": %d}`, receiver.URL, own), 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"url": "%s/free"}`, receiver.URL), 201, nil)
	for range messages {
		a.call("POST", "/app/acme/msg", `{"eventType": "a", "payload": {}}`, 202, nil)
	}
	arrived := make(map[string][]time.Time)
	for _, a := range receiver.Await(t, 2*messages) {
		arrived[a.Path], arrived["all"] = append(arrived[a.Path], a.At), append(arrived["all"], a.At)
	}
	for path, rate := range map[string]int{"/limited": own, "all": all} {
		list, peak := arrived[path], 0
		for i, j := 0, 0; j < len(list); j++ {
			for list[j].Sub(list[i]) >= time.Second {
				i++
			}
			peak = max(peak, j-i+1)
		}
		const late = 5 // arrivals that the way has delayed into the second
		if peak > rate+late {
			t.Errorf("%s: %d arrived in a second, %d may", path, peak, rate)
		}
		took, least := list[len(list)-1].Sub(list[0]), time.Duration(len(list)-1)*time.Second/time.Duration(rate)
		if took < least-200*time.Millisecond {
			t.Errorf("%s: %d arrived in %s, which takes %s at least", path, len(list), took, least)
		}
		t.Logf("%s: %d in %s, at most %d in a second", path, len(list), took.Round(time.Millisecond), peak)
	}
}
