package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/webhook"
)

// tailReader is a client that follows a node, and comes again when it is cut off.
type tailReader struct {
	mu     sync.Mutex
	events []tailEvent
	end    func() // ends it and waits
}

// follow follows any of these URLs; the next one when a stream ends.
func follow(t *testing.T, token, query string, urls ...string) *tailReader {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	r := new(tailReader)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			c := &client{url: urls[i%len(urls)], token: token, http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
			_ = readTail(ctx, c, values, func(event tailEvent) error { // until a node can be reached
				if event.id != "" {
					values.Set("from", event.id)
				}
				if event.name == "place" {
					return nil
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.events = append(r.events, event)
				return nil
			})
			time.Sleep(50 * time.Millisecond)
		}
	})
	r.end = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(r.end)
	return r
}

// await waits for that many events and returns their names, or what they change.
func (r *tailReader) await(t *testing.T, count int) (names []string) {
	t.Helper()
	waitFor(t, fmt.Sprint(count, " events"), func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.events) >= count })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		name := e.name
		if _, rest, found := strings.Cut(e.data, `"change":"`); found {
			name, _, _ = strings.Cut(rest, `"`)
		}
		names = append(names, name)
	}
	return names
}

func TestTail(t *testing.T) {
	a := apiStart(t)
	receiver := apiReceive(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app", `{"name":"Other","uid":"other"}`, 201, nil)
	start := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	all := follow(t, apiToken, "from="+start, a.url)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	all.await(t, 1)
	failed := follow(t, apiToken, "status=2", a.url)
	other := follow(t, apiToken, "app=other&from="+start, a.url)
	typed := follow(t, apiToken, "app=acme&endpoint=e&event_types=b,c&from="+start, a.url)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"b"}`, 202, nil)
	all.await(t, 3)
	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, nil)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/e/recover", sinceAnHour(""), 202, &task)
	a.awaitTask(task.ID, "finished")
	a.call("POST", "/app/other/endpoint", `{"url":"`+receiver.URL+`"}`, 201, nil)
	receiver.say(http.StatusTeapot)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"c"}`, 202, nil)
	want := []string{"endpoint.created", "attempt", "attempt", "endpoint.paused", "endpoint.resumed", "task.started", "task.finished", "endpoint.created", "attempt", "attempt", "attempt"}
	if got := all.await(t, len(want)); !slices.Equal(got, want) {
		t.Errorf("live: %v", got)
	}
	if got := other.await(t, 1); !slices.Equal(got, []string{"endpoint.created"}) {
		t.Errorf("of the other application: %v", got)
	}
	if got := failed.await(t, 3); len(got) != 3 {
		t.Errorf("failed ones: %v", got)
	}
	if got := typed.await(t, 4); len(got) != 4 {
		t.Errorf("of two event types: %v", got)
	}
	past := follow(t, apiToken, "from="+start, a.url)
	past.await(t, len(want))
	for i := range want { // the past is told as the present was
		if past.events[i] != all.events[i] {
			t.Errorf("%d: %+v was %+v", i, past.events[i], all.events[i])
		}
	}
	resumed := follow(t, apiToken, "from="+all.events[4].id, a.url)
	if got := resumed.await(t, len(want)-5); !slices.Equal(got, want[5:]) {
		t.Errorf("resumed: %v", got)
	}
	for query, want := range map[string]string{"status=9": "status", "endpoint=e": "endpoint", "from=x": "from", "app=none": "Application not found", "app=acme&endpoint=none": "Endpoint not found"} {
		if response, text := a.raw("GET", "/api/v1/tail?"+query, "Bearer "+apiToken, nil); response.StatusCode/100 != 4 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %s", query, response.StatusCode, text)
		}
	}
}

// places opens a stream, passes on the id of each place until seen is content, and closes it.
func places(t *testing.T, node, query string, seen func(id string) bool) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	content := false
	err = readTail(ctx, &client{url: node, token: apiToken}, values, func(event tailEvent) error {
		if content = event.name == "place" && seen(event.id); content {
			return io.EOF
		}
		return nil
	})
	if !content {
		t.Fatalf("%s: %v", query, err)
	}
}

// TestTailResumesWithoutEvents: who is cut off before there was any event it has asked for misses none either.
func TestTailResumesWithoutEvents(t *testing.T) {
	a := apiStart(t)
	receiver := apiReceive(t)
	const filter = "status=0&event_types=wanted"
	var fresh, filtered string
	places(t, a.url, "", func(id string) bool { fresh = id; return true })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	places(t, a.url, filter, func(id string) bool { filtered = id; return true })
	for i, eventType := range []string{"wanted", "other", "wanted", "wanted"} {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"`+eventType+`"}`, 202, nil)
		receiver.await(t, i+1)
	}
	all := follow(t, apiToken, "from="+fresh, a.url)
	if got := all.await(t, 5); !slices.Equal(got, []string{"endpoint.created", "attempt", "attempt", "attempt", "attempt"}) {
		t.Errorf("since before there was anything: %v", got)
	}
	wanted := follow(t, apiToken, filter+"&from="+filtered, a.url)
	if got := wanted.await(t, 3); len(got) != 3 || wanted.events[0].id != all.events[1].id {
		t.Errorf("of what was asked for: %v", got)
	}
	later := follow(t, apiToken, "app=acme&from="+all.events[4].id, a.url)
	// A place goes beyond events that are not asked for.
	welcome := true
	places(t, a.url, filter+"&from="+filtered, func(id string) bool {
		if welcome {
			if welcome = false; id != filtered {
				t.Errorf("the stream begins at %s, not at %s", id, filtered)
			}
			a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
			return false
		}
		if names := later.await(t, 1); names[0] != "endpoint.paused" {
			t.Errorf("%v", names)
		}
		return id == later.events[0].id
	})
}

// TestTailOfRevokedToken: whatever ends a token ends its streams, before they tell of anything that happens later.
func TestTailOfRevokedToken(t *testing.T) {
	a := apiStart(t, func(c *Config) { c.API.JWTSecret = jwtSecret })
	start := "from=" + time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	var one apiThing
	var portal authKey
	a.call("POST", "/app", `{"name":"One","uid":"one"}`, 201, &one)
	a.call("POST", "/app", `{"name":"Two","uid":"two"}`, 201, nil)
	for _, app := range []string{"one", "two"} {
		a.call("POST", "/app/"+app+"/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	}
	reader := a.newKey(`{"name":"k","role":"reader"}`)
	own := a.newKey(`{"name":"k","role":"application","applicationId":"one"}`)
	a.call("POST", "/auth/app-portal-access/one", "", 200, &portal)
	signed := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(c jwt.MapClaims) { c["sub"] = one.ID })
	streams := map[string]*tailReader{
		"a reader": follow(t, reader.Token, start+"&app=one", a.url), "quiet": follow(t, reader.Token, start+"&app=two", a.url),
		"an application": follow(t, own.Token, start, a.url), "a portal": follow(t, portal.Token, start, a.url), "a JWT": follow(t, signed, start, a.url),
	}
	shown, command := make(chan tailEvent, 8), make(chan error, 1)
	go func() {
		c, query := client{url: a.url, token: reader.Token}, url.Values{"from": {start[len("from="):]}, "app": {"one"}}
		command <- followTail(t.Context(), &c, query, io.Discard, func(event tailEvent) error { shown <- event; return nil })
	}()
	<-shown
	for _, stream := range streams {
		stream.await(t, 1)
	}
	a.call("DELETE", "/key/"+reader.ID, "", 204, nil)
	a.call("POST", "/auth/app/one/expire-all", "", 204, nil)
	a.call("POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	for who, stream := range streams {
		if got := stream.await(t, 2); !slices.Equal(got, []string{"endpoint.created", "cut"}) || !strings.Contains(stream.events[1].data, "revoked") {
			t.Errorf("%s: %q", who, got)
		}
	}
	if err := <-command; webhook.ErrorCode(err) != webhook.CodeUnauthorized {
		t.Errorf("the command ends with %v", err)
	}
}

// TestTailEndsWithTheNode: an open stream does not hold up the end of a node, and says why it ends.
func TestTailEndsWithTheNode(t *testing.T) {
	a := apiStart(t)
	a.call("GET", "/app", "", 200, nil)
	r := follow(t, apiToken, "", a.url)
	waitFor(t, "the stream is open", func() bool {
		a.call("POST", "/event-type", `{"name":"x","description":"d"}`, 201, nil)
		return true
	})
	time.Sleep(200 * time.Millisecond)
	begin := time.Now()
	if err := a.node.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("the node took %s to end", took)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) != 1 || r.events[0].name != "cut" || !strings.Contains(r.events[0].data, "stopping") {
		t.Errorf("%+v", r.events)
	}
}

// TestTailSurvivesLeaders follows a cluster while its leader is killed under load: each event once, in order.
func TestTailSurvivesLeaders(t *testing.T) {
	c := startDevCluster(t)
	r := newReceiver(t)
	c.setUp(t, "first", r.url)
	start := url.QueryEscape(time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	tail := follow(t, systemToken, "from="+start, c.nodes...)
	l := newLedger()
	producing := startLoad(t, c.caller, l)
	awaitMore(t, l)
	c.kill(t, c.awaitHealth(t, 1, 2, 3))
	c.awaitHealth(t, 1, 2, 3)
	awaitMore(t, l)
	producing.stop()
	checkDelivered(t, l, r)
	arrived, _ := r.count()
	successes := func() (ids map[string]bool) {
		tail.mu.Lock()
		defer tail.mu.Unlock()
		ids = make(map[string]bool)
		for _, e := range tail.events {
			if _, rest, found := strings.Cut(e.data, `"msgId":"`); found && e.name == "attempt" && strings.Contains(e.data, `"status":0`) {
				id, _, _ := strings.Cut(rest, `"`)
				ids[id] = true
			}
		}
		return ids
	}
	waitFor(t, "the tail has told of all deliveries", func() bool { return len(successes()) >= arrived })
	tail.end()
	last := webhook.ID{}
	for i, e := range tail.events {
		if e.id == "" {
			continue
		}
		id, err := webhook.ParseID(webhook.KindEvent, e.id)
		if err != nil || !id.After(last) {
			t.Fatalf("event %d, %s, does not come after the one before; %v", i, e.id, err)
		}
		last = id
	}
	t.Logf("%d events of %d deliveries", len(tail.events), arrived)
}

func TestTailCommand(t *testing.T) {
	a := apiStart(t)
	receiver := apiReceive(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	receiver.await(t, 1)
	for _, test := range []struct{ args, want string }{{"", "success"}, {"--json", `"event":"attempt","data":{`}} {
		ctx, cancel := context.WithCancel(t.Context())
		read, write := io.Pipe()
		cmd := newTailCommand()
		cmd.SetArgs(append(strings.Fields(test.args), "--url", a.url, "--token", apiToken, "--from", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "--status", "success"))
		cmd.SetOut(write)
		done := make(chan error, 1)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		line := make([]byte, 4096)
		n, err := read.Read(line)
		if err != nil || !strings.Contains(string(line[:n]), test.want) {
			t.Errorf("%q prints %q, %v", test.args, line[:n], err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%q ends with %v", test.args, err)
		}
	}
	for args, want := range map[string]string{"--status odd": "success, fail or canceled", "--token wrong-token-0123456": "token", "--app none": "Application not found"} {
		cmd := newTailCommand()
		cmd.SetArgs(append([]string{"--url", a.url, "--token", apiToken}, strings.Fields(args)...))
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

const tailBeat = 5 * time.Second // after which a node writes to a stream, and so would find that its client has gone

// One application has few streams, so that others have some, too; a stream whose client has gone leaves its place at once.
func TestTailPlacesOfOneApplication(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	var portal authKey
	a.call("POST", "/auth/app-portal-access/acme", `{"readOnly":true}`, 200, &portal)
	open := func() (net.Conn, int) {
		conn := a.dialRaw()
		if _, err := io.WriteString(conn, "GET /api/v1/tail HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+portal.Token+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return conn, response.StatusCode
	}
	var first net.Conn
	for i := range 4 {
		conn, status := open()
		if status != 200 {
			t.Fatalf("stream %d: %d", i, status)
		}
		first = conn
	}
	if _, status := open(); status != 429 {
		t.Errorf("one stream too many: %d", status)
	}
	follow(t, apiToken, "", a.url)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(tailBeat - time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, status := open(); status == 200 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a stream that its client has closed keeps its place")
		}
	}
}
