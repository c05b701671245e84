package abuse

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

// What a customer does with the token of its portal.
var customerAbuses = []abuse{
	{"endpoints of the largest size, resumed at once", resumeLarge, []int{200, 201, 422, 429}},
	{"endpoints without end", manyEndpoints, []int{201, 400, 422, 202}},
	{"endpoints that never answer", hangingEndpoints, []int{201, 202, 400}},
	{"replays without end", manyReplays, []int{201, 202, 409, 429}},
	{"replays without end, by the operator for a customer", manyOperatorReplays, []int{201, 202, 409, 429}},
	{"sends by hand without end", manySends, []int{200, 201, 202, 409, 429}},
	{"names that cannot be part of a path", namesOfPaths, []int{201, 422, 404}},
	{"times that cannot be", absurdTimes, []int{201, 422}},
	{"an address of a cloud's own", metadataAddress, []int{200, 201, 202, 422}},
	{"endpoints that come and go", passingEndpoints, []int{201, 202, 204, 404, 409, 429}},
	{"tests of receivers that hang", hangingTests, []int{200, 429, 503}},
}

// Each of the replies is as large as the endpoint, and is asked for by a small request.
func resumeLarge(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.refused(422, "", c.portal, "POST", c.path("/endpoint"), largeEndpoint("e", 65_000, 64, 4096))
	w.refused(422, "", c.portal, "POST", c.path("/endpoint"), largeEndpoint("e", 8<<10+1, 1, 10))
	w.refused(422, "", c.portal, "POST", c.path("/endpoint"), largeEndpoint("e", 100, 64, 4096))
	if r := w.call(0, c.reader, "GET", c.path("/endpoint"), ""); !strings.Contains(string(r.body), `"data":[]`) {
		w.t.Errorf("after refusals there is: %s", r)
	}
	w.allowed(c.portal, "POST", c.path("/endpoint"), largeEndpoint("e", 8<<10, 64, 480), nil)
	for range long(4, 40) {
		each(128, 128, func(int) { w.attack(c.portal, "POST", c.path("/endpoint/e/resume"), "") })
	}
}

// largeEndpoint is the body of one with a URL of so many bytes, which are as long as can be as
// JSON, and so many headers.
func largeEndpoint(uid string, url, headers, value int) string {
	var own []string
	for i := range headers {
		own = append(own, fmt.Sprintf(`"x-%d": %q`, i, strings.Repeat("v", value)))
	}
	start := "http://127.0.0.1:9/?"
	return fmt.Sprintf(`{"uid": %q, "url": %q, "headers": {%s}}`, uid, start+strings.Repeat("&", url-len(start)), strings.Join(own, ","))
}

// All the endpoints that one may have, as many as possible of the largest size, and messages that
// each of them is to get.
func manyEndpoints(w *world) {
	c := w.customer()
	defer w.leave(c)
	each(32, 250, func(i int) {
		w.attack(c.portal, "POST", c.path("/endpoint"), largeEndpoint(fmt.Sprint("e", i), 8<<10, 64, 480))
	})
	each(32, 520, func(int) { w.attack(c.portal, "POST", c.path("/endpoint"), `{"url": "http://127.0.0.1:9/"}`) })
	w.refused(400, "limit_reached", c.portal, "POST", c.path("/endpoint"), `{"url": "http://127.0.0.1:9/"}`)
	for range long(3, 30) {
		w.send(c, 100)
	}
}

// Endpoints that keep a worker for as long as they can; another customer's new one must not wait
// for them.
func hangingEndpoints(w *world) {
	var all sync.WaitGroup
	var customers []customer
	for range 3 {
		c := w.customer()
		defer w.leave(c)
		customers = append(customers, c)
		all.Go(func() { w.endpoints(c, long(200, 500), w.sites.hanging) })
	}
	all.Wait()
	for _, c := range customers {
		w.send(c, 100)
	}
	fresh := w.customer()
	defer w.leave(fresh)
	receiver := receivertest.Start(w.t, nil)
	w.endpoints(fresh, 1, receiver.URL)
	begin := time.Now()
	w.send(fresh, 100)
	receiver.Await(w.t, 1)
	took := time.Since(begin)
	w.t.Logf("the new endpoint of another customer got its first event after %s", took.Round(time.Millisecond))
	if took > worstPost {
		w.t.Errorf("the new endpoint of another customer got its first event after %s", took)
	}
}

// All the replays that there can be; another customer's must still begin.
func manyReplays(w *world) { w.replays(func(c customer) string { return c.portal }, long(200, 1000)) }

// The operator's backend may do so for the customer.
func manyOperatorReplays(w *world) { w.replays(func(customer) string { return rootToken }, 1000) }

// replays has a customer's replays begun, so many times, with a token.
func (w *world) replays(token func(customer) string, count int) {
	w.t.Helper()
	c, other := w.customer(), w.customer()
	defer w.leave(c)
	defer w.leave(other)
	w.endpoints(c, 63, w.sites.refusing)
	w.endpoints(other, 1, w.sites.good)
	since := fmt.Sprintf(`{"since": %q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	w.send(c, 100)
	each(16, count, func(i int) {
		w.attack(token(c), "POST", c.path("/endpoint/e%d/replay-missing", i%63), since)
	})
	w.must("POST", other.path("/endpoint/e0/recover"), since, nil)
}

// Resends, examples and replays, each of which is stored.
func manySends(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.must("POST", "/event-type", `{"name": "with.example", "description": "", "schemas": {"1": {"type": "object", "examples": [{"a": 1}]}}}`, nil)
	defer w.must("DELETE", "/event-type/with.example?expunge=true", "", nil)
	w.endpoints(c, 1, w.sites.good)
	id := w.send(c, 20_000)
	since := fmt.Sprintf(`{"since": %q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	var limited atomic.Int32
	each(16, 2000, func(i int) {
		if limited.Load() > 10 {
			return
		}
		path, body := c.path("/msg/%s/endpoint/e0/resend", id), ""
		switch i % 3 {
		case 1:
			path, body = c.path("/endpoint/e0/send-example"), `{"eventType": "with.example"}`
		case 2:
			path, body = c.path("/endpoint/e0/recover"), since
		}
		if r := w.attack(c.portal, "POST", path, body); r.status == http.StatusTooManyRequests {
			limited.Add(1)
		}
	})
	if limited.Load() == 0 {
		w.t.Error("2,000 sends by hand were not limited")
	}
}

// An endpoint that is named like the parent folder must not be taken for the application.
func namesOfPaths(w *world) {
	c := w.customer()
	defer w.leave(c)
	for _, name := range []string{".", "..", "a/b", "%2e%2e", "a b", "a?b", "a#b", `a\\b`, `\u0000`, `\ud800`, `\u202e`} {
		w.refused(422, "", c.portal, "POST", c.path("/endpoint"), `{"url": "http://127.0.0.1:9/", "uid": "`+name+`"}`)
	}
	w.endpoints(c, 1, w.sites.good)
	for _, path := range []string{"/endpoint/..", "/endpoint/.", "/endpoint/%2e%2e", "/endpoint/%2E%2E/", "/endpoint/e0/..", "/endpoint/../../bystander"} {
		for _, method := range []string{"DELETE", "PUT", "PATCH"} {
			request := fmt.Sprintf("%s /api/v1/app/%s%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 2\r\n\r\n{}", method, c.app, path, rootToken)
			if status := w.raw(0, callLimit, []byte(request)); status != http.StatusNotFound {
				w.t.Errorf("%s %s: got %d, want 404", method, path, status)
			}
		}
	}
	for _, path := range []string{c.path(""), c.path("/endpoint/e0"), "/app/bystander"} {
		w.must("GET", path, "", nil)
	}
}

func absurdTimes(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	for _, time := range []string{"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59", "10000-01-01T00:00:00Z", "2020-02-30T00:00:00Z", "-1", "now"} {
		for _, operation := range []string{"bulk-replay", "recover", "replay-missing"} {
			w.refused(422, "", c.portal, "POST", c.path("/endpoint/e0/%s", operation), fmt.Sprintf(`{"since": "2020-01-01T00:00:00Z", "until": %q}`, time))
			w.refused(422, "", c.portal, "POST", c.path("/endpoint/e0/%s", operation), fmt.Sprintf(`{"since": %q}`, time))
		}
		w.refused(422, "", c.portal, "GET", c.path("/attempt/endpoint/e0?before=%s", strings.ReplaceAll(time, "+", "%2B")), "")
	}
	w.refused(422, "", c.portal, "GET", c.path("/endpoint/e0/msg?after"), "")
}

// Addresses that lead into a cloud's own services, whatever is allowed besides.
func metadataAddress(w *world) {
	c := w.customer()
	defer w.leave(c)
	hosts := []string{"168.63.129.16", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "2852039166", "[::ffff:169.254.169.254]", "0xa9fea9fe"}
	for i, host := range hosts {
		w.allowed(c.portal, "POST", c.path("/endpoint"), fmt.Sprintf(`{"uid": "e%d", "url": "http://%s/machine?comp=goalstate"}`, i, host), nil)
	}
	id := w.send(c, 10)
	var r reply
	wait.For(w.t, "all have been attempted", func() bool {
		r = w.attack(c.portal, "GET", c.path("/attempt/msg/%s", id), "")
		return strings.Count(string(r.body), `"id":"atmpt_`) >= len(hosts)
	})
	if blocked := strings.Count(string(r.body), "not allowed as a destination"); blocked < len(hosts) {
		w.t.Errorf("%d of %d are blocked: %s", blocked, len(hosts), r.body)
	}
}

// Endpoints that are made, changed and deleted again and again, each of which leaves something to
// be removed.
func passingEndpoints(w *world) {
	c := w.customer()
	defer w.leave(c)
	for range 5 {
		w.send(c, 100)
	}
	each(8, long(100, 2000), func(i int) {
		path := c.path("/endpoint/e%d", i%16)
		w.attack(c.portal, "POST", c.path("/endpoint"), fmt.Sprintf(`{"uid": "e%d", "url": %q, "ordering": "key"}`, i%16, w.sites.refusing))
		w.attack(c.portal, "POST", path+"/replay-missing", `{"since": "2020-01-01T00:00:00Z"}`)
		w.attack(c.portal, "DELETE", path, "")
	})
}

// Tests of endpoints that do not exist, whose receivers never respond, or lead elsewhere.
func hangingTests(w *world) {
	c := w.customer()
	defer w.leave(c)
	elsewhere := httptest.NewServer(http.RedirectHandler("http://"+w.nodes[0].api+"/metrics", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	each(16, 48, func(i int) {
		url := []string{w.sites.hanging, elsewhere.URL, "http://169.254.169.254/latest/meta-data"}[i%3]
		r := w.attack(c.portal, "POST", c.path("/msg/test-attempt"), fmt.Sprintf(`{"url": %q, "headers": {"X-Mine": "a"}}`, url))
		if strings.Contains(string(r.body), "hookwheel_") {
			w.t.Errorf("a redirect was followed: %s", r)
		}
	})
}
