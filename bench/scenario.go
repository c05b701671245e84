package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Scenario is a measurement that brings its own baseline: the same node, the same load, in the same
// run, so that the ratio of the two holds on a noisy machine.
type Scenario struct {
	URLs     []string  // of the nodes; the first one is asked for the endpoints and posted to
	Token    string    // of the API
	Listen   string    // where sinks listen
	Progress io.Writer // gets a line for each step
}

// failurePatience is after how many failed POSTs a scenario ends: it means nothing any more.
const failurePatience = 100

// connectionsOfPhase is how many events of a phase can be under way to the node.
const connectionsOfPhase = 32

// phase is a load at a steady rate on endpoints of its own.
type phase struct {
	name      string
	endpoints int
	respond   Respond // may be nil
	rate      float64 // events per second
	duration  time.Duration
	size      int        // of a payload, in bytes
	posts     *Histogram // gets the time from POST to response; may be nil
}

// run makes the endpoints, sends, waits for what arrives at the endpoints that are looked at, and
// removes the endpoints. It returns the time from POST to arrival at those.
func (s *Scenario) run(ctx context.Context, p phase, look func(endpoint int) bool) (_ *Histogram, err error) {
	events := max(1, int(p.rate*p.duration.Seconds()))
	sink, err := NewSink(s.Listen, p.endpoints, events)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	site, err := newSite(ctx, s.URLs[0], s.Token, sink)
	defer func() { err = errors.Join(err, site.remove()) }()
	if err != nil {
		return nil, err
	}
	sink.SetRespond(p.respond)
	to, err := newTarget(site.messages(s.URLs[0]), s.Token, messageBefore, messageAfter, p.size)
	if err != nil {
		return nil, err
	}
	g := &generator{targets: []target{to}, want: 202, events: events, connections: connectionsOfPhase, size: p.size, rate: p.rate, patience: failurePatience}
	g.run(ctx)
	if n := g.failures.count(); n > 0 {
		return nil, fmt.Errorf("%s: %d of %d POSTs failed, such as: %s", p.name, n, events, strings.Join(g.failures.texts, "; "))
	}
	if p.posts != nil {
		p.posts.Add(&g.latency)
	}
	all := &Histogram{}
	for i := range p.endpoints {
		if !look(i) {
			continue
		}
		if err := awaitDelivered(ctx, sink, i, events); err != nil {
			return nil, fmt.Errorf("%s: endpoint %d: %w", p.name, i, err)
		}
		all.Add(sink.Latency(i))
	}
	s.say("%s: %s events in %s, POST → arrival p50 %s, p99 %s", p.name, thousands(events), p.duration, duration(all.Quantile(0.5)), duration(all.Quantile(0.99)))
	return all, ctx.Err()
}

const deliveryPatience = time.Minute // without anything new

// awaitDelivered waits until an endpoint has all events.
func awaitDelivered(ctx context.Context, sink *Sink, endpoint, events int) error {
	seen, since := -1, time.Now()
	for ctx.Err() == nil {
		n := sink.Delivered(endpoint)
		switch {
		case n >= events:
			return nil
		case n > seen:
			seen, since = n, time.Now()
		case time.Since(since) > deliveryPatience:
			return fmt.Errorf("%s of %s events arrived, and nothing new for %s", thousands(n), thousands(events), deliveryPatience)
		}
		pause(ctx, awaitInterval)
	}
	return ctx.Err()
}

func (s *Scenario) say(format string, values ...any) {
	if s.Progress != nil {
		fmt.Fprintf(s.Progress, format+"\n", values...)
	}
}

// Comparison is a latency with something bad about, and the same without.
type Comparison struct {
	Name     string  `json:"name"`
	Baseline Latency `json:"baseline"`
	With     Latency `json:"with"`
	Ratio    float64 `json:"ratio"` // of the p99s
	Limit    float64 `json:"limit"` // what the ratio should stay below
}

// compare runs two phases in turn, some rounds each.
func (s *Scenario) compare(ctx context.Context, name string, rounds int, limit float64, baseline, with func(context.Context) (*Histogram, error)) (*Comparison, error) {
	var sums [2]Histogram
	for range rounds {
		for i, run := range []func(context.Context) (*Histogram, error){baseline, with} {
			h, err := run(ctx)
			if err != nil {
				return nil, err
			}
			sums[i].Add(h)
		}
	}
	c := &Comparison{Name: name, Baseline: latencyOf(&sums[0]), With: latencyOf(&sums[1]), Limit: limit}
	c.Ratio = float64(c.With.P99) / float64(max(1, c.Baseline.P99))
	return c, nil
}

// Err says whether the limit was kept.
func (c *Comparison) Err() error {
	if c.Ratio > c.Limit {
		return fmt.Errorf("%s: the p99 is %.2f times that of the baseline, more than %.1f", c.Name, c.Ratio, c.Limit)
	}
	return nil
}

// WriteTable writes the report as a table.
func (c *Comparison) WriteTable(w io.Writer) error {
	t := &table{}
	t.line("%s", c.Name)
	t.line("")
	t.row("POST → arrival", "p50", "p99", "p99.9")
	t.latency("without", c.Baseline)
	t.latency("with", c.With)
	t.line("ratio of the p99s %.2f (limit %.1f)", c.Ratio, c.Limit)
	_, err := io.WriteString(w, t.text.String())
	return err
}
