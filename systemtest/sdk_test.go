package systemtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"

	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/wait"
)

// nodesTransport takes each request to the next node; one that can't be reached is passed over. A
// request that a node has perhaps taken is not made again: that is for the client to decide.
type nodesTransport struct {
	hosts []string
	next  atomic.Uint32
	http.Transport
}

func (n *nodesTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	var err error
	if request.Body != nil {
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	for range n.hosts {
		again := request.Clone(request.Context())
		again.Body, again.GetBody = io.NopCloser(bytes.NewReader(body)), nil
		again.URL.Host = n.hosts[int(n.next.Add(1))%len(n.hosts)]
		var response *http.Response
		response, err = n.Transport.RoundTrip(again)
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			return response, err
		}
	}
	return nil, err
}

// TestSDKWhileLeadersDie uses the Go SDK with a cluster behind a load balancer while the leader is
// killed again and again. No call fails, as the SDK repeats those that a dying node has cut off,
// and none takes effect twice, as they have idempotency keys.
func TestSDKWhileLeadersDie(t *testing.T) {
	t.Parallel()
	const workers, kills, between = 4, 3, 40
	c := startDevCluster(t)
	c.MayCrash = true
	nodes := &nodesTransport{}
	for _, node := range c.nodes {
		nodes.hosts = append(nodes.hosts, strings.TrimPrefix(node, "http://"))
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{Transport: apitest.Transport{T: t, Next: nodes},
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme = "http" }})
	defer balancer.Close()
	receiver := receivertest.Start(t, nil)

	client := apitest.NewSvix(t, balancer.URL, systemToken)
	name := func(s string) *string { return &s }
	apitest.Need(client.Application.Create(t.Context(), models.ApplicationIn{Name: "Demo", Uid: name("demo")}, nil))(t)
	apitest.Need(client.Endpoint.Create(t.Context(), "demo", models.EndpointIn{Url: receiver.URL, Uid: name("one")}, nil))(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var calls atomic.Int64
	var sent sync.Map // id of a message → its number
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				number := calls.Add(1)
				in := models.MessageIn{EventType: "a", Payload: map[string]any{"event": number}}
				message, err := client.Message.Create(t.Context(), "demo", in, nil)
				if err != nil {
					t.Errorf("message %d: %v", number, err)
					return
				}
				sent.Store(message.Id, number)
				if _, err := client.Message.Get(t.Context(), "demo", message.Id, nil); err != nil {
					t.Errorf("what was sent can't be read: %v", err)
				}
				if _, err := client.Endpoint.Patch(t.Context(), "demo", "one", models.EndpointPatch{Description: name(fmt.Sprint(number))}); err != nil {
					t.Errorf("patch: %v", err)
				}
			}
		})
	}
	for range kills {
		before := calls.Load()
		wait.For(t, "work", func() bool { return calls.Load() >= before+between || t.Failed() })
		c.kill(t, c.awaitHealth(t, 1, 2, 3))
	}
	before := calls.Load()
	wait.For(t, "work after the last kill", func() bool { return calls.Load() >= before+between || t.Failed() })
	stop()
	wg.Wait()

	stored, iterator := 0, (*string)(nil)
	for {
		page := apitest.Need(client.Message.List(t.Context(), "demo", &svix.MessageListOptions{Iterator: iterator, Limit: new(uint64(250))}))(t)
		for _, message := range page.Data {
			if _, known := sent.Load(message.Id); !known {
				t.Errorf("%s is there, and nobody was told so: something was applied twice", message.Id)
			}
		}
		stored += len(page.Data)
		if iterator = page.Iterator; page.Done {
			break
		}
	}
	if int64(stored) != calls.Load() {
		t.Errorf("%d messages were sent, and %d are there", calls.Load(), stored)
	}
	wait.For(t, "all to arrive", func() bool { return len(receiver.Taken()) == stored })
	t.Logf("%d messages, %d kills of the leader, no call failed", stored, kills)
}
