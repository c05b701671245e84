package bench

import (
	"context"
	"time"
)

const (
	floodEndpoints = 10             // beside the flooded one
	floodRate      = 19 * quietRate // 95 % of all events
	quietRate      = 100            // events per second, to all the others
	floodPhase     = 20 * time.Second
	floodLimit     = 1.5
)

// Flood measures what a flood for one endpoint does to the latency of others, which get a twentieth
// of all events.
func (s *Scenario) Flood(ctx context.Context, rounds int) (*Comparison, error) {
	all := func(int) bool { return true }
	quiet := phase{name: "10 endpoints", endpoints: floodEndpoints, rate: quietRate, duration: floodPhase, size: 1 << 10}
	flood := phase{name: "the flood", endpoints: 1, rate: floodRate, duration: floodPhase, size: 1 << 10}
	return s.compare(ctx, "10 endpoints beside one that gets 95 % of a flood", rounds, floodLimit,
		func(ctx context.Context) (*Histogram, error) { return s.run(ctx, quiet, all) },
		func(ctx context.Context) (*Histogram, error) {
			flooded := make(chan error, 1)
			go func() {
				_, err := s.run(ctx, flood, all)
				flooded <- err
			}()
			h, err := s.run(ctx, quiet, all)
			if floodErr := <-flooded; err == nil {
				err = floodErr
			}
			return h, err
		})
}
