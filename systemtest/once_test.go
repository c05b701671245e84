package systemtest

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// post makes a POST with an idempotency key.
func (c *caller) post(node int, path, key, body string) (r reply, err error) {
	return c.postWith(node, path, http.Header{"Idempotency-Key": {key}}, body)
}

// postWith makes a POST with additional headers.
func (c *caller) postWith(node int, path string, header http.Header, body string) (r reply, err error) {
	request, err := http.NewRequest("POST", c.nodes[node-1]+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return r, err
	}
	request.Header = header
	request.Header.Set("Authorization", "Bearer "+systemToken)
	response, err := c.http.Do(request)
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	r.status, r.header = response.StatusCode, response.Header
	r.body, err = io.ReadAll(response.Body)
	return r, err
}

// insisting producers post each event with a key of its own, on one node after the other, until it
// is acknowledged.
type insisting struct {
	mu        sync.Mutex
	responses []string // by event
	repeats   int
	wg        sync.WaitGroup
	over      atomic.Bool
}

func (p *insisting) produce(t *testing.T, c *caller) {
	for !p.over.Load() {
		p.mu.Lock()
		event := len(p.responses)
		p.responses = append(p.responses, "")
		p.mu.Unlock()
		body := eventBody(event)
		for try := 1; ; try++ {
			r, err := c.post(1+rand.IntN(len(c.nodes)), "/app/demo/msg", fmt.Sprint("event-", event), body)
			if err == nil && r.status == http.StatusAccepted {
				p.mu.Lock()
				p.responses[event] = string(r.body)
				p.repeats += try - 1
				p.mu.Unlock()
				break
			}
			if err == nil && (r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "") || try > 1000 {
				t.Errorf("event %d: %d %s %v", event, r.status, r.body, err)
				return
			}
			time.Sleep(failurePause)
		}
		time.Sleep(producerPause)
	}
}

func eventBody(event int) string {
	return fmt.Sprintf(`{"eventType":"a","payload":{"event":%d}}`, event)
}

func (p *insisting) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.responses)
}

// A request that is repeated with one key while leaders are killed is applied once, and each node
// returns the first response to further repetitions.
func TestIdempotencyKeysThroughLostLeaders(t *testing.T) {
	t.Parallel()
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name":"Demo","uid":"demo"}`, 201, nil)
	p := new(insisting)
	for range producers {
		p.wg.Go(func() { p.produce(t, c.caller) })
	}
	t.Cleanup(func() { p.over.Store(true); p.wg.Wait() })
	times := 3
	if testing.Short() {
		times = 1
	}
	for range times {
		before := p.count()
		wait.For(t, "more events are sent", func() bool { return p.count() > before+100 })
		c.kill(t, c.awaitHealth(t, 1, 2, 3))
		c.awaitHealth(t, 1, 2, 3)
	}
	p.over.Store(true)
	p.wg.Wait()
	t.Logf("%d events, %d repetitions", len(p.responses), p.repeats)

	if got := c.events(t, 1+rand.IntN(clusterSize)); len(got) != len(p.responses) {
		t.Errorf("%d events were sent, and %d are kept", len(p.responses), len(got))
	} else {
		for event, times := range got {
			if times != 1 {
				t.Errorf("event %d was applied %d times", event, times)
			}
		}
	}
	for range 30 {
		event, node := rand.IntN(len(p.responses)), 1+rand.IntN(clusterSize)
		r, err := c.post(node, "/app/demo/msg", fmt.Sprint("event-", event), eventBody(event))
		if err != nil || r.status != 202 || string(r.body) != p.responses[event] {
			t.Errorf("event %d was answered %s, and then by n%d %d %s %v", event, p.responses[event], node, r.status, r.body, err)
		}
	}
}

// events counts how often each event is kept.
func (c *caller) events(t *testing.T, node int) map[int]int {
	t.Helper()
	count := make(map[int]int)
	for iterator := ""; ; {
		var page struct {
			Data     []struct{ Payload struct{ Event int } }
			Iterator string
			Done     bool
		}
		path := "/app/demo/msg?limit=250"
		if iterator != "" {
			path += "&iterator=" + iterator
		}
		c.must(t, node, "GET", path, "", 200, &page)
		for _, m := range page.Data {
			count[m.Payload.Event]++
		}
		if page.Done {
			return count
		}
		iterator = page.Iterator
	}
}

// A request that finds no majority is held for a while, then refused with a time to come back;
// with its key it may come back. One that comes in an election is answered when that is over.
func TestHeldWithoutLeader(t *testing.T) {
	t.Parallel()
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name":"Demo","uid":"demo"}`, 201, nil)
	leader := c.awaitHealth(t, 1, 2, 3)
	stopped := []int{leader, 1 + leader%clusterSize}
	last := 1 + (leader+1)%clusterSize
	for _, node := range stopped {
		if err := syscall.Kill(c.pid(node), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	r, err := c.post(last, "/app/demo/msg", "k", `{"eventType":"a","payload":{"event":1}}`)
	held := time.Since(begin)
	for _, node := range stopped {
		if err := syscall.Kill(c.pid(node), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if err != nil || r.status != 503 || r.header.Get("Retry-After") == "" || held < 5*time.Second {
		t.Errorf("after %s %d %s %v", held, r.status, r.body, err)
	}
	var refusal struct{ Code, Detail string }
	if json.Unmarshal(r.body, &refusal) != nil || refusal.Code != "unavailable" || refusal.Detail == "" {
		t.Errorf("%s", r.body)
	}
	wait.For(t, "the event is taken", func() bool {
		r, err = c.post(last, "/app/demo/msg", "k", `{"eventType":"a","payload":{"event":1}}`)
		return err == nil && r.status == 202
	})
	c.awaitHealth(t, 1, 2, 3)
	for _, node := range stopped {
		again, err := c.post(node, "/app/demo/msg", "k", `{"eventType":"a","payload":{"event":1}}`)
		if err != nil || again.status != 202 || string(again.body) != string(r.body) {
			t.Errorf("n%d answers %d %s %v, not %s", node, again.status, again.body, err, r.body)
		}
	}
	if got := c.events(t, last); len(got) != 1 || got[1] != 1 {
		t.Errorf("the event is kept so often: %v", got)
	}
}

// A key that was made on one node is good on all, and one that was revoked on none.
func TestKeysOnAllNodes(t *testing.T) {
	t.Parallel()
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name":"Demo","uid":"demo"}`, 201, nil)
	as := func(node int, token string) int {
		t.Helper()
		request, err := http.NewRequest("GET", c.nodes[node-1]+"/api/v1/auth/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode
	}
	for range 20 {
		node := 1 + rand.IntN(clusterSize)
		var key struct{ ID, Token string }
		c.must(t, node, "POST", "/key", `{"name":"k","role":"reader"}`, 201, &key)
		for _, on := range rand.Perm(clusterSize) {
			if got := as(1+on, key.Token); got != 200 {
				t.Fatalf("a key made on n%d got %d on n%d", node, got, 1+on)
			}
		}
		c.must(t, 1+rand.IntN(clusterSize), "DELETE", "/key/"+key.ID, "", 204, nil)
		for _, on := range rand.Perm(clusterSize) {
			if got := as(1+on, key.Token); got != 401 {
				t.Fatalf("a revoked key got %d on n%d", got, 1+on)
			}
		}
	}
}
