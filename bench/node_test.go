package bench

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// fakeNode is a small server of the API that delivers at once, from memory, and can be made to do
// so badly.
type fakeNode struct {
	t      *testing.T
	url    string
	refuse func(event int) (status int)          // 0: accept
	copies func(endpoint int, event int) (n int) // how often an event is delivered; nil: once
	forge  func(endpoint int) (wrongSecret bool) // nil: never
	sends  sync.WaitGroup                        // deliveries under way

	mu        sync.Mutex
	endpoints []string // URLs
	created   int      // applications
	deleted   int
}

var testKey = []byte("0123456789abcdef0123456789abcdef")

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{t: t, url: "http://" + listener.Addr().String()}
	server := &fasthttp.Server{Handler: n.serve}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(listener) }()
	t.Cleanup(func() {
		server.Shutdown()
		<-done
		n.sends.Wait()
	})
	return n
}

func (n *fakeNode) serve(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	switch method := string(ctx.Method()); {
	case string(ctx.Request.Header.Peek("Authorization")) != "Bearer test":
		ctx.Error(`{"code":"authentication_failed"}`, 401)
	case method == "POST" && path == "/api/v1/app":
		n.mu.Lock()
		n.created++
		n.mu.Unlock()
		respond(ctx, 201, `{"id":"app_1","name":"bench"}`)
	case method == "POST" && path == "/api/v1/app/app_1/endpoint":
		n.addEndpoint(ctx)
	case method == "GET" && strings.HasSuffix(path, "/secret"):
		respond(ctx, 200, `{"key":"whsec_`+base64.StdEncoding.EncodeToString(testKey)+`"}`)
	case method == "DELETE" && path == "/api/v1/app/app_1":
		n.mu.Lock()
		n.deleted++
		n.mu.Unlock()
		ctx.SetStatusCode(204)
	case method == "POST" && path == "/api/v1/app/app_1/msg":
		n.message(ctx)
	case method == "POST" && path == "/api/v1/app/app_1/msg/batch":
		n.batch(ctx)
	default:
		ctx.Error("no such page", 404)
	}
}

func (n *fakeNode) addEndpoint(ctx *fasthttp.RequestCtx) {
	var wish struct{ URL string }
	if err := json.Unmarshal(ctx.PostBody(), &wish); err != nil {
		ctx.Error(err.Error(), 422)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.endpoints = append(n.endpoints, wish.URL)
	respond(ctx, 201, fmt.Sprintf(`{"id":"ep_%d"}`, len(n.endpoints)))
}

func (n *fakeNode) message(ctx *fasthttp.RequestCtx) {
	var in struct {
		EventType string
		Payload   json.RawMessage
	}
	err := json.Unmarshal(ctx.PostBody(), &in)
	event, _, ok := parsePayload(in.Payload)
	if err != nil || !ok || in.EventType != "bench.event" || string(ctx.QueryArgs().Peek("with_content")) != "false" {
		ctx.Error(fmt.Sprintf("not a message of bench: %v %s", err, ctx.PostBody()), 422)
		return
	}
	if n.refuse != nil {
		if status := n.refuse(event); status != 0 {
			respond(ctx, status, `{"code":"unavailable"}`)
			return
		}
	}
	n.send(event, in.Payload)
	respond(ctx, 202, `{"id":"msg_1"}`)
}

// batch accepts each event of a batch unless it is refused.
func (n *fakeNode) batch(ctx *fasthttp.RequestCtx) {
	var list []struct{ Payload json.RawMessage }
	if err := json.Unmarshal(ctx.PostBody(), &list); err != nil {
		ctx.Error(err.Error(), 422)
		return
	}
	var results []string
	for _, in := range list {
		event, _, ok := parsePayload(in.Payload)
		if !ok || n.refuse != nil && n.refuse(event) != 0 {
			results = append(results, `{"errors":[]}`)
			continue
		}
		n.send(event, in.Payload)
		results = append(results, `{"id":"msg_1"}`)
	}
	respond(ctx, 202, "["+strings.Join(results, ",")+"]")
}

// send delivers an event to all endpoints.
func (n *fakeNode) send(event int, payload []byte) {
	n.mu.Lock()
	endpoints := n.endpoints
	n.mu.Unlock()
	for endpoint, url := range endpoints {
		copies := 1
		if n.copies != nil {
			copies = n.copies(endpoint, event)
		}
		for range copies {
			n.sends.Go(func() { n.deliver(endpoint, url, payload) })
		}
	}
}

func (n *fakeNode) deliver(endpoint int, url string, payload []byte) {
	key := testKey
	if n.forge != nil && n.forge(endpoint) {
		key = []byte("another key, as long as the other")
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.Header.SetMethod("POST")
	request.SetRequestURI(url)
	request.SetBody(payload)
	sign(&request.Header, key, payload)
	if err := fasthttp.Do(request, response); err != nil {
		n.t.Errorf("delivery: %v", err)
	}
}

// sign is written from the Standard Webhooks text, not with our package, so that the two check one
// another.
func sign(header *fasthttp.RequestHeader, key, payload []byte) {
	id, timestamp := "msg_"+rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	sum := hmac.New(sha256.New, key)
	fmt.Fprintf(sum, "%s.%s.%s", id, timestamp, payload)
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
}

func respond(ctx *fasthttp.RequestCtx, status int, body string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBodyString(body)
}
