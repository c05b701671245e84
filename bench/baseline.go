package bench

import (
	"context"
	"syscall"
	"time"
)

// Bare is what the bare loop did: the generator posting straight to the sink.
type Bare struct {
	Delivered          int           `json:"delivered"`
	DeliveredPerSecond float64       `json:"deliveredPerSecond"` // first POST to last arrival
	Post               Latency       `json:"post"`               // POST → 200
	CPU                time.Duration `json:"cpuNs"`              // of this process
}

// Bare measures the bare loop with the events, payloads and connections of a run. It counts apart
// from the endpoints, so the same sink serves the run after it. When the context ends it
// returns what was seen until then.
func (l *Load) Bare(ctx context.Context) (*Bare, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	endpoint := l.Sink.Endpoints()
	t, err := newTarget(l.Sink.URL(endpoint), "", "", "", l.Size)
	if err != nil {
		return nil, err
	}
	g := l.generatorTo([]target{t}, 200)
	tallies := l.Sink.tallies[endpoint:]
	cpu := cpuTime()
	stop := l.watch("bare", g, tallies)
	g.run(ctx)
	stop()
	return &Bare{
		Delivered:          delivered(tallies),
		DeliveredPerSecond: perSecond(delivered(tallies), g.began, lastArrival(tallies)),
		Post:               latencyOf(&g.latency),
		CPU:                cpuTime() - cpu,
	}, nil
}

// cpuTime is what this process has used so far, in user and kernel mode; 0 if the system does not
// say.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
