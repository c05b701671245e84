package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// gcPatience is how long an idle process may take until its next garbage collection: Go forces one
// every two minutes.
const gcPatience = 150 * time.Second

// leaderHeap asks the leader for a garbage collection, or waits for one if the leader has no
// /debug/pprof, and returns what that has left in use, in bytes.
func (s *Scenario) leaderHeap(ctx context.Context) (int64, error) {
	url, err := s.leader()
	if err != nil {
		return 0, err
	}
	first, err := memory(url, s.Token)
	if err != nil {
		return 0, err
	}
	if err := s.collect(url); err != nil {
		s.say("waiting up to %v for a garbage collection on the leader, as asking for one failed: %v", gcPatience, err)
	}
	for deadline := time.Now().Add(gcPatience); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 2*time.Second) {
		now, err := memory(url, s.Token)
		if err != nil {
			return 0, err
		}
		if now.collections > first.collections {
			return now.live, nil
		}
	}
	return 0, errors.Join(ctx.Err(), errors.New("there was no garbage collection: is the node busy or hanging?"))
}

// collect asks a node for a garbage collection.
func (s *Scenario) collect(url string) error {
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	request.SetRequestURI(strings.TrimRight(url, "/") + "/debug/pprof/heap?gc=1")
	request.Header.Set("Authorization", "Bearer "+s.Token)
	if err := fasthttp.DoTimeout(request, response, callTimeout); err != nil {
		return err
	}
	if status := response.StatusCode(); status != 200 {
		return fmt.Errorf("/debug/pprof/heap: status %d; api.pprof turns it on", status)
	}
	return nil
}

// leader is the URL of the node that leads.
func (s *Scenario) leader() (string, error) {
	for _, url := range s.URLs {
		var health struct{ Node, Leader string }
		if err := (&site{base: strings.TrimRight(url, "/"), token: s.Token}).call("GET", "/api/v1/health", nil, 200, &health); err != nil {
			return "", err
		}
		if health.Node == health.Leader {
			return url, nil
		}
	}
	return "", errors.New("none of the nodes given leads the cluster: give the URLs of all")
}

// nodeMemory is what a node's metrics say about its memory.
type nodeMemory struct {
	collections uint64 // garbage collections so far
	live        int64  // bytes that the last one has left in use
	resident    int64  // bytes of the process
}

func memory(url, token string) (m nodeMemory, err error) {
	found, err := scrape(url, token)
	if err != nil {
		return m, err
	}
	values, err := found.of("go_gc_duration_seconds", "go_memstats_next_gc_bytes", "process_resident_memory_bytes")
	if err != nil {
		return m, fmt.Errorf("%s: %w", url, err)
	}
	// The next collection comes when the heap is twice as large as this one has left it.
	return nodeMemory{uint64(values[0]), int64(values[1] / 2), int64(values[2])}, nil
}
