package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/valyala/fasthttp"
)

// gcPatience is how long an idle process may take until its next garbage collection: Go forces one
// every two minutes.
const gcPatience = 150 * time.Second

// leaderHeap waits for a garbage collection on the leader and returns what that has left in use, in
// bytes.
func (s *Scenario) leaderHeap(ctx context.Context) (int64, error) {
	url, err := s.leader()
	if err != nil {
		return 0, err
	}
	s.say("waiting for a garbage collection on the leader")
	first, _, err := memory(url)
	if err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(gcPatience); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 2*time.Second) {
		collections, live, err := memory(url)
		if err != nil {
			return 0, err
		}
		if collections > first {
			return live, nil
		}
	}
	return 0, errors.Join(ctx.Err(), errors.New("there was no garbage collection: is the node busy or hanging?"))
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

// memory reads from a node's metrics how many garbage collections it has had, and how many bytes
// the last one has left in use.
func memory(url string) (collections uint64, live int64, err error) {
	status, body, err := fasthttp.GetTimeout(nil, strings.TrimRight(url, "/")+"/metrics", callTimeout)
	if err != nil || status != 200 {
		return 0, 0, fmt.Errorf("GET %s/metrics: status %d, %w", url, status, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return 0, 0, fmt.Errorf("GET %s/metrics: %w", url, err)
	}
	gc, next := families["go_gc_duration_seconds"], families["go_memstats_next_gc_bytes"]
	if gc == nil || next == nil {
		return 0, 0, fmt.Errorf("GET %s/metrics: no metrics of Go's memory", url)
	}
	// The next collection comes when the heap is twice as large as this one has left it.
	return gc.Metric[0].GetSummary().GetSampleCount(), int64(next.Metric[0].GetGauge().GetValue() / 2), nil
}
