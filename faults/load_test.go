package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/webhook"
)

const (
	producers     = 6
	producerPause = 8 * time.Millisecond // the nodes share the machine with others
	payloadBytes  = 500
)

// behaviour is what an endpoint does to who delivers to it.
type behaviour int

const (
	good   behaviour = iota
	flaky            // answers 500 now and then
	slow             // takes its time
	absent           // is down for a second, time and again
	rarely           // answers 500 to one in twenty
)

// endpoint is one of the receiver's.
type endpoint struct {
	app       string
	uid       string
	filter    string // event type; empty: all
	behaviour behaviour
	ordered   bool
	secret    webhook.Secret
}

// endpoints of two applications.
func newEndpoints() []*endpoint {
	return []*endpoint{
		{app: "app0", uid: "good", behaviour: good},
		{app: "app0", uid: "flaky", behaviour: flaky},
		{app: "app0", uid: "filtered", filter: "odd", behaviour: good},
		{app: "app1", uid: "slow", behaviour: slow},
		{app: "app1", uid: "absent", behaviour: absent},
		{app: "app1", uid: "ordered", filter: "odd", behaviour: rarely, ordered: true},
	}
}

// probe is the payload of an event that is only to find out what a node says.
const probe = `{"probe":true}`

// Numbers of what is no event of a producer.
const (
	unknownEvent = -1
	probeEvent   = -2
)

// An event is known by its number, and all else about it follows from that.
func appOf(event int) string { return "app" + strconv.Itoa(event/2%2) }
func typeOf(event int) string {
	if event%2 == 1 {
		return "odd"
	}
	return "even"
}
func payloadOf(event int) string {
	start := fmt.Sprintf(`{"event":%d,"pad":"`, event)
	return start + strings.Repeat(strconv.Itoa(event)+"-", payloadBytes)[:payloadBytes-len(start)] + `"}`
}

func (e *endpoint) wants(event int) bool {
	return appOf(event) == e.app && (e.filter == "" || e.filter == typeOf(event))
}

// receiver is all endpoints on one HTTP server.
type receiver struct {
	url       string
	endpoints []*endpoint
	history   *history
	calm      atomic.Bool // all endpoints behave, so that what waits drains
}

func newReceiver(t *testing.T, h *history) *receiver {
	r := &receiver{endpoints: newEndpoints(), history: h}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/"))
	if err != nil || i < 0 || i >= len(r.endpoints) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	e := r.endpoints[i]
	body, err := io.ReadAll(request.Body)
	if err != nil { // the sender was killed in the middle
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	hit := hit{Endpoint: i, ID: request.Header.Get("webhook-id"), At: time.Now(), Status: r.answer(e)}
	var payload struct{ Event int }
	hit.Event = unknownEvent
	if string(body) == probe {
		hit.Event = probeEvent
	}
	if json.Unmarshal(body, &payload) == nil && string(body) == payloadOf(payload.Event) {
		hit.Event = payload.Event
	}
	if err := webhook.Verify([]webhook.Secret{e.secret}, hit.ID, request.Header.Get("webhook-timestamp"), request.Header.Get("webhook-signature"),
		body, hit.At, 5*time.Minute); err != nil {
		hit.Forged = err.Error()
	}
	r.history.hit(hit)
	w.WriteHeader(hit.Status)
}

// answer is what an endpoint says at the moment.
func (r *receiver) answer(e *endpoint) int {
	if r.calm.Load() {
		return http.StatusOK
	}
	switch e.behaviour {
	case flaky:
		if rand.IntN(5) == 0 {
			return http.StatusInternalServerError
		}
	case rarely:
		if rand.IntN(20) == 0 {
			return http.StatusInternalServerError
		}
	case slow:
		time.Sleep(30 * time.Millisecond)
	case absent:
		if time.Now().Unix()%5 == 0 {
			return http.StatusServiceUnavailable
		}
	}
	return http.StatusOK
}

// setUp makes applications and endpoints, and learns the secrets.
func (r *receiver) setUp(t *testing.T, c *cluster) {
	t.Helper()
	must := func(method, path string, body, out any) {
		t.Helper()
		status, text, err := c.call(0, method, path, body, out)
		if err != nil || status >= 300 {
			t.Fatalf("%s %s: %d %s, %v", method, path, status, text, err)
		}
	}
	for i, e := range r.endpoints {
		must("POST", "/app?get_if_exists=true", map[string]string{"name": e.app, "uid": e.app}, nil)
		in := map[string]any{"uid": e.uid, "url": r.url + "/" + strconv.Itoa(i)}
		if e.filter != "" {
			must("PUT", "/event-type/"+e.filter, map[string]string{"description": ""}, nil)
			in["eventTypes"] = []string{e.filter}
		}
		if e.ordered {
			in["ordering"] = "endpoint"
		}
		must("POST", "/app/"+e.app+"/endpoint", in, nil)
		var secret struct{ Key string }
		must("GET", "/app/"+e.app+"/endpoint/"+e.uid+"/secret", nil, &secret)
		var err error
		if e.secret, err = webhook.ParseSecret(secret.Key); err != nil {
			t.Fatal(err)
		}
	}
}

// load is producers at work.
type load struct {
	cluster  *cluster
	history  *history
	balancer *balancer // nil: producers know what the nemesis does
	next     atomic.Int64
	over     atomic.Bool
	wg       sync.WaitGroup
}

func startLoad(c *cluster, h *history, b *balancer) *load {
	l := &load{cluster: c, history: h, balancer: b}
	for range producers {
		l.wg.Go(l.produce)
	}
	return l
}

func (l *load) stop() {
	l.over.Store(true)
	l.wg.Wait()
}

func (l *load) produce() {
	for !l.over.Load() {
		i := rand.IntN(size)
		if !l.open(i) {
			time.Sleep(producerPause)
			continue
		}
		l.post(i)
		time.Sleep(producerPause)
	}
}

// open tells whether a node is to be used.
func (l *load) open(i int) bool {
	if l.balancer != nil {
		return l.balancer.healthy[i].Load()
	}
	return !l.cluster.nodes[i].isDown()
}

// balancer is a load balancer that knows of the nodes what their health checks say, and nothing else.
type balancer struct {
	cluster *cluster
	healthy [size]atomic.Bool
	over    chan struct{}
	wg      sync.WaitGroup
}

const healthInterval = 100 * time.Millisecond

func startBalancer(c *cluster) *balancer {
	b := &balancer{cluster: c, over: make(chan struct{})}
	for i := range size {
		b.wg.Go(func() { b.watch(i) })
	}
	return b
}

func (b *balancer) watch(i int) {
	check := http.Client{Timeout: time.Second}
	for {
		answer, err := check.Get(b.cluster.nodes[i].api + "/api/v1/health")
		b.healthy[i].Store(err == nil && answer.StatusCode == http.StatusOK)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		select {
		case <-time.After(healthInterval):
		case <-b.over:
			return
		}
	}
}

func (b *balancer) stop() {
	close(b.over)
	b.wg.Wait()
}

// post sends the next event to a node, once.
func (l *load) post(i int) post {
	event := int(l.next.Add(1) - 1)
	p := post{Event: event, Node: i, Start: time.Now()}
	var made struct{ ID string }
	status, text, err := l.cluster.call(i, "POST", "/app/"+appOf(event)+"/msg",
		map[string]any{"eventType": typeOf(event), "payload": json.RawMessage(payloadOf(event))}, &made)
	p.End, p.Status, p.ID = time.Now(), status, made.ID
	if err != nil {
		p.Status, p.Failure = 0, err.Error()
	} else if status != http.StatusAccepted {
		p.Failure = string(text)
	}
	p.Down = l.cluster.nodes[i].isDown() // it became so meanwhile
	l.history.post(p)
	return p
}
