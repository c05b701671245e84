package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	progressInterval = time.Second
	awaitInterval    = 20 * time.Millisecond
	maxConnections   = 10_000
	maxBatch         = 1000
	maxRate          = 1_000_000
)

// Load says what to send. The sink says how many events, and to how many endpoints; its owner
// closes it.
type Load struct {
	URLs        []string // of the nodes; connections are spread over them, and the first one is asked for the endpoints
	Token       string   // of the API
	Sink        *Sink    // a fresh one; the nodes must be able to reach it
	Connections int
	Size        int           // of a payload, in bytes: MinSize to MaxSize
	Batch       int           // events of a POST; 0: one by itself
	Rate        float64       // events per second, whether or not the ones before are answered; 0: a connection sends its next when the last is
	Wait        time.Duration // how long to wait for the next delivery after the last POST
	Baseline    bool          // measure the bare loop first
	Relay       []string      // command of a process that calls Relay with a file, its last argument, if there is one; measure it first, too; nil: do not
	Warm        bool          // touch memory first, if a node runs on this machine
	Progress    io.Writer     // gets a line every second; nil: none

	name string // of what is measured, for progress; empty: node
}

// Run sends all events, waits for their deliveries and reports. When the context ends the report
// says so and shows what was seen until then. Errors are about what had to be there before the
// first event: a sensible Load, a node that answers.
func (l *Load) Run(ctx context.Context) (*Report, error) {
	if err := l.validate(); err != nil {
		return nil, err
	}
	report := &Report{
		Events:      l.Sink.Events(),
		Batch:       l.Batch,
		Rate:        l.Rate,
		Endpoints:   l.Sink.Endpoints(),
		Connections: l.Connections,
		Size:        l.Size,
	}
	if l.Warm && slices.ContainsFunc(l.URLs, isLocal) {
		if err := l.warm(ctx); err != nil {
			return nil, err
		}
	}
	if l.Baseline {
		bare, err := l.Bare(ctx)
		if err != nil {
			return nil, err
		}
		report.Bare = bare
	}
	if l.Relay != nil {
		if err := l.measureRelays(ctx, report); err != nil {
			return nil, err
		}
	}
	if ctx.Err() == nil {
		if err := l.measure(ctx, report); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		report.Stopped = context.Cause(ctx).Error()
	}
	return report, nil
}

func (l *Load) validate() error {
	switch {
	case len(l.URLs) == 0:
		return errors.New("no URL of a node")
	case l.Connections < 1 || l.Connections > maxConnections:
		return fmt.Errorf("%d connections: expected 1 to %d", l.Connections, maxConnections)
	case l.Size < MinSize || l.Size > MaxSize:
		return fmt.Errorf("payloads of %d bytes: expected %d to %d", l.Size, MinSize, MaxSize)
	case l.Batch < 0 || l.Batch > maxBatch || l.Batch > 0 && l.Sink.Events()%l.Batch != 0:
		return fmt.Errorf("batches of %d events: expected at most %d, and a number of events that they divide evenly", l.Batch, maxBatch)
	case !(l.Rate >= 0 && l.Rate <= maxRate):
		return fmt.Errorf("a rate of %v events per second: expected 0 (as fast as they are accepted) to %d", l.Rate, maxRate)
	case l.Wait < 0:
		return fmt.Errorf("a wait of %v: expected 0 or more", l.Wait)
	}
	return nil
}

// measure makes the endpoints, drives the load and fills in the report.
func (l *Load) measure(ctx context.Context, report *Report) error {
	site, err := newSite(ctx, l.URLs[0], l.Token, l.Sink)
	if err != nil {
		return errors.Join(err, site.remove())
	}
	g, err := l.generator(site)
	if err != nil {
		return errors.Join(err, site.remove())
	}
	meter, err := newMeter(l.URLs, l.Token)
	if err != nil {
		report.UsageError = err.Error()
	}
	tallies := l.Sink.tallies[:l.Sink.Endpoints()]
	cpu := cpuTime()
	stop := l.watch(cmp.Or(l.name, "node"), g, tallies)
	g.run(ctx)
	l.await(ctx, g, tallies)
	stop()
	report.CPU = cpuTime() - cpu
	report.Elapsed = time.Duration(now() - g.began)
	report.fill(g, tallies)
	if meter != nil {
		if report.Usage, err = meter.stop(report.Accepted); err != nil {
			report.UsageError = err.Error()
		}
	}
	report.Unknown = l.Sink.Unknown()
	if err := site.remove(); err != nil {
		report.Errors = append(report.Errors, err.Error())
	}
	return nil
}

// warm touches memory, and says so.
func (l *Load) warm(ctx context.Context) error {
	began := time.Now()
	touched, err := warm(ctx)
	if l.Progress != nil {
		fmt.Fprintf(l.Progress, "touched %s MiB of memory in %s, so that the first run finds it as fast as the next one\n", thousands(int(touched>>20)), duration(time.Since(began)))
	}
	return err
}

// generator posts messages to the nodes.
func (l *Load) generator(site *site) (*generator, error) {
	var targets []target
	for _, node := range l.URLs {
		link := site.messages(node)
		if l.Batch > 0 {
			link = site.batches(node)
		}
		t, err := newBatchTarget(link, l.Token, messageBefore, messageAfter, l.Size, l.Batch)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	g := l.generatorTo(targets, 202)
	g.batch = l.Batch
	return g, nil
}

func (l *Load) generatorTo(targets []target, want int) *generator {
	return &generator{targets: targets, want: want, events: l.Sink.Events(), connections: l.Connections, size: l.Size, rate: l.Rate}
}

// await waits until all accepted events have arrived, or nothing new has for l.Wait, or the context
// ends.
func (l *Load) await(ctx context.Context, g *generator, tallies []tally) {
	seen, since := delivered(tallies), time.Now()
	for ctx.Err() == nil && time.Since(since) < l.Wait {
		if seen >= int(g.accepted.Load())*len(tallies) && lost(g, tallies) == 0 {
			return
		}
		pause(ctx, awaitInterval)
		if n := delivered(tallies); n > seen {
			seen, since = n, time.Now()
		}
	}
}

// delivered is how many different events have arrived, over all endpoints.
func delivered(tallies []tally) int {
	total := int64(0)
	for i := range tallies {
		total += tallies[i].distinct.Load()
	}
	return int(total)
}

// lost is how many accepted events have not arrived, over all endpoints. The generator must have
// ended.
func lost(g *generator, tallies []tally) int {
	total := 0
	for i := range tallies {
		for event, took := range g.took {
			if took && tallies[i].counts[event].Load() == 0 {
				total++
			}
		}
	}
	return total
}

// watch prints a progress line every second until it is stopped.
func (l *Load) watch(what string, g *generator, tallies []tally) (stop func()) {
	if l.Progress == nil {
		return func() {}
	}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		accepted, arrived := 0, 0 // a second ago
		for second := 1; ; second++ {
			select {
			case <-quit:
				return
			case <-ticker.C:
			}
			a, d := int(g.accepted.Load()), delivered(tallies)
			fmt.Fprintf(l.Progress, "%s %4d s   accepted %11s %9s/s   delivered %11s %9s/s   failed %s\n", what, second,
				thousands(a), thousands(a-accepted), thousands(d), thousands(d-arrived), thousands(g.failures.count()))
			accepted, arrived = a, d
		}
	}()
	return func() { close(quit); <-done }
}
