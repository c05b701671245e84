package httpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/node"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// backend is a node that is started again and again at the same place.
type backend struct {
	url     string
	node    *node.Node
	healthy atomic.Bool // as the balancer sees it
}

// balancer sends each request to a node that is healthy, in turn, as load balancers do, and tries
// none twice.
type balancer struct {
	t        *testing.T
	backends []*backend
	client   http.Client
	turn     atomic.Int64
	answered atomic.Int64
}

// watch asks for the health of the nodes.
func (b *balancer) watch(ctx context.Context) {
	checks := http.Client{Transport: &http.Transport{}, Timeout: time.Second}
	defer checks.CloseIdleConnections()
	for ctx.Err() == nil {
		for _, one := range b.backends {
			response, err := checks.Get(one.url + "/api/v1/health")
			one.healthy.Store(err == nil && response.StatusCode == http.StatusOK)
			if err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}
		time.Sleep(50 * time.Millisecond) // a balancer's pace
	}
}

func (b *balancer) choose() (one *backend) {
	err := wait.Until(wait.Patience, "a node is healthy", func() bool {
		for range b.backends {
			if one = b.backends[b.turn.Add(1)%int64(len(b.backends))]; one.healthy.Load() {
				return true
			}
		}
		return false
	})
	if err != nil {
		b.t.Error(err)
	}
	return one
}

// post sends one event, which must be accepted.
func (b *balancer) post() {
	one := b.choose()
	request, err := http.NewRequest("POST", one.url+"/api/v1/app/demo/msg", strings.NewReader(`{"eventType": "a.b", "payload": {}}`))
	if err != nil {
		b.t.Error(err)
		return
	}
	request.GetBody = nil // nor may the client try it twice
	request.Header.Set("Authorization", "Bearer "+apiToken)
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Errorf("a request that failed: %v", err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusAccepted {
		b.t.Errorf("a request was answered with %s: %s, %v", response.Status, text, err)
	}
	b.answered.Add(1)
}

// Nodes behind a load balancer are restarted one after the other under load, and no request fails.
func TestDrainBehindABalancer(t *testing.T) {
	const nodes, clients, restarts = 2, 16, 6
	b := &balancer{t: t, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}}
	defer b.client.CloseIdleConnections()
	for range nodes {
		a := apiStart(t, func(c *config.Config) { c.API.Listen, c.API.Drain = process.FreeAddress(t), 300*time.Millisecond })
		a.call("POST", "/app", `{"name": "Demo", "uid": "demo"}`, http.StatusCreated, nil)
		one := &backend{url: a.url, node: a.node}
		b.backends = append(b.backends, one)
		t.Cleanup(func() {
			if err := one.node.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.watch(ctx) })
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				b.post()
			}
		})
	}
	for i := range restarts {
		one := b.backends[i%nodes]
		wait.For(t, "a healthy node", one.healthy.Load)
		before := b.answered.Load()
		wait.For(t, "the nodes to be under load", func() bool { return b.answered.Load() >= before+clients })
		if err := one.node.Close(); err != nil {
			t.Error(err)
		}
		again, err := node.Start(one.node.Config(), "test", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Error(err)
			break
		}
		one.node = again
	}
	cancel()
	wg.Wait()
	t.Logf("%d restarts, %d requests, none failed", restarts, b.answered.Load())
}
