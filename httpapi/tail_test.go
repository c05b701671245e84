package httpapi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/cli"
	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

func TestTail(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app", `{"name":"Other","uid":"other"}`, 201, nil)
	start := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	all := apitest.Follow(t, apiToken, "from="+start, a.url)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	all.Await(t, 3)
	failed := apitest.Follow(t, apiToken, "status=2", a.url)
	other := apitest.Follow(t, apiToken, "app=other&from="+start, a.url)
	typed := apitest.Follow(t, apiToken, "app=acme&endpoint=e&event_types=b,c&from="+start, a.url)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"b"}`, 202, nil)
	all.Await(t, 5)
	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, nil)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/e/recover", sinceAnHour(""), 202, &task)
	a.awaitTask(task.ID, "finished")
	a.call("POST", "/app/other/endpoint", `{"url":"`+receiver.URL+`"}`, 201, nil)
	receiver.Say(http.StatusTeapot)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"c"}`, 202, nil)
	want := []string{"application.created", "application.created", "endpoint.created", "attempt", "attempt", "endpoint.paused", "endpoint.resumed", "task.started", "task.finished", "endpoint.created", "attempt", "attempt", "attempt"}
	if got := all.Await(t, len(want)); !slices.Equal(got, want) {
		t.Errorf("live: %v", got)
	}
	if got := other.Await(t, 2); !slices.Equal(got, []string{"application.created", "endpoint.created"}) {
		t.Errorf("of the other application: %v", got)
	}
	if got := failed.Await(t, 3); len(got) != 3 {
		t.Errorf("failed ones: %v", got)
	}
	if got := typed.Await(t, 4); len(got) != 4 {
		t.Errorf("of two event types: %v", got)
	}
	past := apitest.Follow(t, apiToken, "from="+start, a.url)
	past.Await(t, len(want))
	for i := range want { // the past is told as the present was
		if past.Events()[i] != all.Events()[i] {
			t.Errorf("%d: %+v was %+v", i, past.Events()[i], all.Events()[i])
		}
	}
	resumed := apitest.Follow(t, apiToken, "from="+all.Events()[4].ID, a.url)
	if got := resumed.Await(t, len(want)-5); !slices.Equal(got, want[5:]) {
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
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	defer cancel()
	content := false
	err = apitest.ReadTail(ctx, node, apiToken, values, func(event apitest.TailEvent) error {
		if content = event.Name == "place" && seen(event.ID); content {
			return io.EOF
		}
		return nil
	})
	if !content {
		t.Fatalf("%s: %v", query, err)
	}
}

// TestTailResumesWithoutEvents: a client that is cut off before the first event that it wants does
// not miss any.
func TestTailResumesWithoutEvents(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	const filter = "status=0&event_types=wanted"
	var fresh, filtered string
	places(t, a.url, "", func(id string) bool { fresh = id; return true })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	places(t, a.url, filter, func(id string) bool { filtered = id; return true })
	for i, eventType := range []string{"wanted", "other", "wanted", "wanted"} {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"`+eventType+`"}`, 202, nil)
		receiver.Await(t, i+1)
	}
	all := apitest.Follow(t, apiToken, "from="+fresh, a.url)
	if got := all.Await(t, 6); !slices.Equal(got, []string{"application.created", "endpoint.created", "attempt", "attempt", "attempt", "attempt"}) {
		t.Errorf("since before there was anything: %v", got)
	}
	wanted := apitest.Follow(t, apiToken, filter+"&from="+filtered, a.url)
	if got := wanted.Await(t, 3); len(got) != 3 || wanted.Events()[0].ID != all.Events()[2].ID {
		t.Errorf("of what was asked for: %v", got)
	}
	later := apitest.Follow(t, apiToken, "app=acme&from="+all.Events()[5].ID, a.url)
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
		if names := later.Await(t, 1); names[0] != "endpoint.paused" {
			t.Errorf("%v", names)
		}
		return id == later.Events()[0].ID
	})
}

// TestTailOfRevokedToken: whatever ends a token ends its streams, before they tell of anything that
// happens later.
func TestTailOfRevokedToken(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.JWTSecret = jwtSecret })
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
	streams := map[string]*apitest.Tail{
		"a reader": apitest.Follow(t, reader.Token, start+"&app=one", a.url), "quiet": apitest.Follow(t, reader.Token, start+"&app=two", a.url),
		"an application": apitest.Follow(t, own.Token, start, a.url), "a portal": apitest.Follow(t, portal.Token, start, a.url), "a JWT": apitest.Follow(t, signed, start, a.url),
	}
	read, write := io.Pipe()
	shown, command := bufio.NewScanner(read), make(chan error, 1)
	go func() {
		cmd := cli.New("test")
		cmd.SetArgs([]string{"tail", "--url", a.url, "--token", reader.Token, "--from", start[len("from="):], "--app", "one"})
		cmd.SetOut(write)
		command <- cmd.ExecuteContext(t.Context())
		write.Close()
	}()
	if !shown.Scan() {
		t.Errorf("the command shows nothing: %v", shown.Err())
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	before := make(map[string][]string)
	for who, stream := range streams {
		before[who] = []string{"application.created", "endpoint.created"}
		if who == "a reader" {
			before[who] = append(before[who], "key.created", "key.created") // those of the application
		}
		stream.Await(t, len(before[who]))
	}
	a.call("DELETE", "/key/"+reader.ID, "", 204, nil)
	a.call("POST", "/auth/app/one/expire-all", "", 204, nil)
	a.call("POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`, 201, nil)
	for who, stream := range streams {
		want := append(before[who], "cut")
		if got := stream.Await(t, len(want)); !slices.Equal(got, want) || !strings.Contains(stream.Events()[len(want)-1].Data, "revoked") {
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
	a.call("POST", "/event-type", `{"name":"x","description":"d"}`, 201, nil)
	r := apitest.Follow(t, apiToken, "from="+time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), a.url)
	r.Await(t, 1) // the stream is open
	begin := time.Now()
	if err := a.node.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("the node took %s to end", took)
	}
	if list := r.Events(); len(list) != 2 || list[1].Name != "cut" || !strings.Contains(list[1].Data, "stopping") {
		t.Errorf("%+v", list)
	}
}

func TestTailCommand(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	receiver.Await(t, 1)
	for _, test := range []struct{ args, want string }{{"", "success"}, {"--json", `"event":"attempt","data":{`}} {
		ctx, cancel := context.WithCancel(t.Context())
		read, write := io.Pipe()
		cmd := cli.New("test")
		cmd.SetArgs(append(append([]string{"tail"}, strings.Fields(test.args)...), "--url", a.url, "--token", apiToken, "--from", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "--status", "success"))
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
	for args, want := range map[string]string{"--status odd": "must be canceled, failed or success", "--token wrong-token-0123456": "token", "--app none": "Application not found"} {
		cmd := cli.New("test")
		cmd.SetArgs(append([]string{"tail", "--url", a.url, "--token", apiToken}, strings.Fields(args)...))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

const tailBeat = 5 * time.Second // after which a node writes to a stream, and so would find that its client has gone

// One application has few streams, so that others have some, too; a stream whose client has gone
// leaves its place at once.
func TestTailPlacesOfOneApplication(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.Tails = 8 })
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
	apitest.Follow(t, apiToken, "", a.url)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	err := wait.Until(tailBeat-time.Second, "the place of a stream that its client has closed", func() bool { // before it is written to again
		_, status := open()
		return status == 200
	})
	if err != nil {
		t.Fatal(err)
	}
}
