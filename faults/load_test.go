package faults

import (
	"context"
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

// behaviour is how an endpoint treats requests.
type behaviour int

const (
	good   behaviour = iota
	flaky            // answers 500 now and then
	slow             // takes its time
	absent           // is down for a second, time and again
	mixed            // answers 500 to one in twenty, and takes its time with some
)

// endpoint is one of the receiver's.
type endpoint struct {
	app       string
	uid       string
	filter    string // event type; empty: all
	behaviour behaviour
	ordering  string
	script    func(ctx context.Context, event int) int // answers instead of behaviour; 0: nobody listens any more
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
		{app: "app1", uid: "ordered", filter: "odd", behaviour: mixed, ordering: "endpoint"},
		{app: "app0", uid: "keyed", behaviour: mixed, ordering: "key"},
	}
}

// probe is the payload of an event that is only to find out what a node says.
const probe = `{"probe":true}`

// Numbers of deliveries that are not events of a producer.
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

// keyOf is the ordering key of an event.
func keyOf(event int) string { return "key-" + strconv.Itoa(event/4%16) }

// idempotent reports whether an event is posted with an idempotency key; repeated, whether it is
// then posted once more, elsewhere.
func idempotent(event int) bool { return event/8%2 == 0 }
func repeated(event int) bool   { return event%16 == 3 }

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
	cluster   *cluster
	calm      atomic.Bool // all endpoints behave, so that what waits drains
}

func newReceiver(t *testing.T, h *history, c *cluster, endpoints []*endpoint) *receiver {
	r := &receiver{endpoints: endpoints, history: h, cluster: c}
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
	hit := hit{Endpoint: i, ID: request.Header.Get("webhook-id"), At: time.Now()}
	var payload struct{ Event int }
	hit.Event = unknownEvent
	if string(body) == probe {
		hit.Event = probeEvent
	}
	if json.Unmarshal(body, &payload) == nil && string(body) == payloadOf(payload.Event) {
		hit.Event = payload.Event
	}
	tolerance := 5*time.Minute + r.cluster.now().Sub(hit.At) // some clocks may be ahead and others not yet
	if err := webhook.Verify([]webhook.Secret{e.secret}, hit.ID, request.Header.Get("webhook-timestamp"), request.Header.Get("webhook-signature"),
		body, hit.At, tolerance); err != nil {
		hit.Forged = err.Error()
	}
	if e.script != nil {
		hit.Status = e.script(request.Context(), payload.Event)
	} else {
		hit.Status = r.respond(e)
	}
	hit.End = time.Now()
	r.history.hit(hit)
	if hit.Status > 0 {
		w.WriteHeader(hit.Status)
	}
}

// answer is what an endpoint says at the moment.
func (r *receiver) respond(e *endpoint) int {
	if r.calm.Load() {
		return http.StatusOK
	}
	switch e.behaviour {
	case flaky:
		if rand.IntN(5) == 0 {
			return http.StatusInternalServerError
		}
	case mixed:
		switch rand.IntN(40) {
		case 0, 1:
			return http.StatusInternalServerError
		case 2:
			time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		}
	case slow:
		time.Sleep(30 * time.Millisecond)
	case absent:
		if time.Now().Unix()%7 == 0 { // probes come after 5 s, 10 s and so on: they must not always find it down
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
		if e.ordering != "" {
			in["ordering"] = e.ordering
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
	wishes   atomic.Int64 // resends and replays that were accepted
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
		i := rand.IntN(len(l.cluster.nodes))
		if !l.open(i) {
			time.Sleep(producerPause)
			continue
		}
		l.post(i)
		time.Sleep(producerPause)
	}
}

// open reports whether a node is to be used.
func (l *load) open(i int) bool {
	if l.balancer != nil {
		return l.balancer.healthy[i].Load()
	}
	return !l.cluster.nodes[i].down.Load()
}

// balancer is a load balancer that knows of the nodes what their health checks say, and nothing
// else.
type balancer struct {
	cluster *cluster
	healthy []atomic.Bool
	over    chan struct{}
	wg      sync.WaitGroup
}

const healthInterval = 100 * time.Millisecond

func startBalancer(c *cluster) *balancer {
	b := &balancer{cluster: c, healthy: make([]atomic.Bool, len(c.nodes)), over: make(chan struct{})}
	for i := range c.nodes {
		b.wg.Go(func() { b.watch(i) })
	}
	return b
}

func (b *balancer) watch(i int) {
	check := http.Client{Timeout: time.Second}
	for {
		response, err := check.Get(b.cluster.nodes[i].api + "/api/v1/health")
		b.healthy[i].Store(err == nil && response.StatusCode == http.StatusOK)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
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

// post sends the next event to a node. One with an idempotency key is sent again when its answer
// was no 202, and some are sent again when it was.
func (l *load) post(i int) {
	event := int(l.next.Add(1) - 1)
	p := l.try(event, i, false)
	if !idempotent(event) {
		return
	}
	for tries := 0; tries < 3 && (p.Status != http.StatusAccepted || tries == 0 && repeated(event)); tries++ {
		i = (i + 1) % len(l.cluster.nodes)
		if l.open(i) {
			p = l.try(event, i, true)
		}
	}
}

func (l *load) try(event, i int, again bool) post {
	key := ""
	if idempotent(event) {
		key = "event-" + strconv.Itoa(event)
	}
	p := post{Event: event, Node: i, Start: time.Now(), Again: again}
	var made struct{ ID string }
	status, text, err := l.cluster.callWithKey(i, "POST", "/app/"+appOf(event)+"/msg", key, map[string]any{"eventType": typeOf(event),
		"orderingKey": keyOf(event), "payload": json.RawMessage(payloadOf(event))}, &made)
	p.End, p.Status, p.ID = time.Now(), status, made.ID
	if err != nil {
		p.Status, p.Failure = 0, err.Error()
	} else if status != http.StatusAccepted {
		p.Failure = string(text)
	}
	p.Down = l.cluster.nodes[i].down.Load() // it became so meanwhile
	l.history.post(p)
	return p
}
