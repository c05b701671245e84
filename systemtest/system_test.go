package systemtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/cli"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const (
	systemToken  = "token-of-the-system-tests"
	callLimit    = 25 * time.Second // for one call; more than a node holds it without a leader
	payloadBytes = 1 << 10
)

func TestMain(m *testing.M) {
	process.Main(m, func() int {
		if settings := os.Getenv(purgeVariable); settings != "" {
			return runPurging(settings)
		}
		return cli.Main("test")
	})
}

// caller calls the API of the nodes, which are counted from 1.
type caller struct {
	http  http.Client
	nodes []string // URLs
}

func newCaller(t testing.TB, base, nodes int) *caller {
	c := &caller{http: http.Client{Timeout: callLimit, Transport: apitest.Transport{T: t, Next: &http.Transport{MaxIdleConnsPerHost: 64}}}}
	for i := 1; i <= nodes; i++ {
		c.nodes = append(c.nodes, "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(base+i-1)))
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// reply is the answer to a call.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (c *caller) call(node int, method, path, body string) (r reply, err error) {
	request, err := http.NewRequest(method, c.nodes[node-1]+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return r, err
	}
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

// must is a call that has to succeed; out, which may be nil, takes the answer.
func (c *caller) must(t *testing.T, node int, method, path, body string, status int, out any) {
	t.Helper()
	r, err := c.call(node, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if r.status != status {
		t.Fatalf("%s %s on n%d: got %d %s, want %d", method, path, node, r.status, r.body, status)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(r.body, out); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, r.body)
	}
}

// setUp makes the application "demo" with an endpoint of that uid.
func (c *caller) setUp(t *testing.T, uid, url string) {
	t.Helper()
	if r, err := c.call(1, "POST", "/app?get_if_exists=true", `{"name": "Demo", "uid": "demo"}`); err != nil || r.status/100 != 2 {
		t.Fatalf("making the application: %d %s, %v", r.status, r.body, err)
	}
	c.must(t, 1, "POST", "/app/demo/endpoint", fmt.Sprintf(`{"uid": %q, "url": %q}`, uid, url), 201, nil)
}

// nodeHealth is what a node says of itself.
type nodeHealth struct{ Status, State, Leader string }

func (c *caller) health(node int) (h nodeHealth) {
	r, err := c.call(node, "GET", "/health", "")
	if err != nil || json.Unmarshal(r.body, &h) != nil {
		return nodeHealth{}
	}
	return h
}

// awaitHealth waits until these nodes are well and agree on which of them leads.
func (c *caller) awaitHealth(t testing.TB, nodes ...int) (leader int) {
	t.Helper()
	wait.For(t, fmt.Sprintf("nodes %v are well and agree on a leader", nodes), func() bool {
		leader = c.agreedLeader(nodes)
		return leader > 0
	})
	return leader
}

func (c *caller) agreedLeader(nodes []int) int {
	leader, name := 0, ""
	for _, node := range nodes {
		h := c.health(node)
		if h.Status != "ok" || name != "" && h.Leader != name {
			return 0
		}
		if name = h.Leader; h.State == "leader" && name == "n"+strconv.Itoa(node) {
			leader = node
		}
	}
	return leader
}

// payload is that of an event, and a different one for each.
func payload(event int) string {
	start := fmt.Sprintf(`{"event": %d, "pad": "`, event)
	pad := strings.Repeat(strconv.Itoa(event)+"-", payloadBytes)
	return start + pad[:payloadBytes-len(start)-2] + `"}`
}

// ledger is what the producers know: which events they sent, and what they were told.
type ledger struct {
	mu           sync.Mutex
	sent         int            // events 0 … sent-1
	acknowledged map[int]string // message id by event
	failed       map[string]int // calls without a 202, by what came instead
}

func newLedger() *ledger {
	return &ledger{acknowledged: make(map[int]string), failed: make(map[string]int)}
}

// post sends the next event to a node, once, and returns what came back.
func (l *ledger) post(c *caller, node int) reply {
	l.mu.Lock()
	event := l.sent
	l.sent++
	l.mu.Unlock()
	r, err := c.call(node, "POST", "/app/demo/msg", `{"eventType": "test.event", "payload": `+payload(event)+`}`)
	var made struct{ ID string }
	if err == nil && r.status == http.StatusAccepted {
		err = json.Unmarshal(r.body, &made)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err != nil:
		l.failed["no answer"]++
		return reply{}
	case r.status != http.StatusAccepted:
		l.failed[strconv.Itoa(r.status)]++
	default:
		l.acknowledged[event] = made.ID
	}
	return r
}

// mustPost is a post that has to be acknowledged.
func (l *ledger) mustPost(t *testing.T, c *caller, node int) {
	t.Helper()
	if r := l.post(c, node); r.status != http.StatusAccepted {
		t.Fatalf("posting to n%d: got %d %s, want 202", node, r.status, r.body)
	}
}

func (l *ledger) count() (sent, acknowledged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, len(l.acknowledged)
}

// receiver is the endpoint of a customer; it holds what arrives to what was sent.
type receiver struct {
	url  string
	down atomic.Bool // answers 503

	mu       sync.Mutex
	ids      map[int]string // webhook-id by event
	arrivals int
	faults   []string // arrivals that should not be so
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{ids: make(map[int]string)}
	r.url = receivertest.Start(t, func(a *receivertest.Arrival) int {
		if r.down.Load() {
			return http.StatusServiceUnavailable
		}
		r.record(string(a.Body), a.ID)
		return http.StatusOK
	}).URL
	return r
}

func (r *receiver) record(body, id string) {
	event := -1
	_, err := fmt.Sscanf(body, `{"event": %d,`, &event)
	r.mu.Lock()
	defer r.mu.Unlock()
	before, again := r.ids[event]
	switch {
	case err != nil || event < 0 || body != payload(event):
		r.faults = append(r.faults, fmt.Sprintf("%s is not what was sent: %.60s", id, body))
		return
	case again && before != id:
		r.faults = append(r.faults, fmt.Sprintf("event %d came as %s and as %s", event, before, id))
	}
	r.ids[event] = id
	r.arrivals++
}

// count is how many different events have arrived, and how many arrivals were not the first of
// theirs.
func (r *receiver) count() (arrived, duplicates int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids), r.arrivals - len(r.ids)
}

// missing are events that were acknowledged and have not arrived.
func missing(l *ledger, r *receiver) (events []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for event := range l.acknowledged {
		if _, ok := r.ids[event]; !ok {
			events = append(events, event)
		}
	}
	slices.Sort(events)
	return events
}

// checkDelivered waits until all that was acknowledged has arrived, under the id that was told, and
// looks for what should not be. Duplicates are counted only.
func checkDelivered(t *testing.T, l *ledger, r *receiver) {
	t.Helper()
	var lost []int
	_ = wait.Until(wait.Patience, "all has arrived", func() bool { // what is lost is said below
		lost = missing(l, r)
		return len(lost) == 0
	})
	sent, acknowledged := l.count()
	arrived, duplicates := r.count()
	t.Logf("%d sent, %d acknowledged, %d arrived, %d duplicates, failed calls: %v",
		sent, acknowledged, arrived, duplicates, l.failed)
	if acknowledged == 0 {
		t.Error("nothing was acknowledged")
	}
	if len(lost) > 0 {
		t.Errorf("LOST: %d events that were acknowledged did not arrive, such as %d (%s)", len(lost), lost[0], l.acknowledged[lost[0]])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for event, id := range r.ids {
		if event >= sent {
			t.Errorf("event %d arrived and was never sent", event)
		}
		if told, ok := l.acknowledged[event]; ok && told != id {
			t.Errorf("event %d was acknowledged as %s and arrived as %s", event, told, id)
		}
	}
	for _, fault := range r.faults[:min(len(r.faults), 10)] {
		t.Error(fault)
	}
}
