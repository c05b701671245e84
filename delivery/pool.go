package delivery

import (
	"context"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

const (
	maxUnrecorded  = 2048                   // outcomes that wait for the recorder; beyond it, workers wait too
	maxRecord      = 512                    // outcomes in one record
	maxRecordBytes = 200 << 10              // of outcomes in one record, except for the last one
	outcomeBytes   = 176                    // of an outcome without its response, headers and URL, about
	maxDisable     = 128                    // endpoints that are disabled together
	cursorInterval = 500 * time.Millisecond // how often cursors that move past unwanted messages are recorded
	drainPatience  = 3 * time.Second        // how long attempts in flight may continue when leadership ends
	pausedInterval = 250 * time.Millisecond // between checks whether attempts may begin again
	flushPatience  = 2 * time.Second        // how long the last outcomes may then take to be recorded
)

// Recorder writes outcomes into the replicated log, during one term of this node as the leader. It
// returns a *webhook.Error when the term is over.
type Recorder interface {
	RecordProgress(ctx context.Context, list []webhook.Progress) error
	// DisableEndpoint disables an endpoint that has failed since failSince, or that has asked for
	// no further messages, unless a user has changed it since.
	DisableEndpoint(ctx context.Context, endpoint *webhook.Endpoint, failSince time.Time) error
}

// Tracer records attempts. The outcome of one that failed is a word.
type Tracer interface {
	Attempted(d *webhook.Delivery, a *webhook.Attempt, start time.Time, took time.Duration, outcome string)
}

// Config says how attempts are made.
type Config struct {
	Timeout   time.Duration  // of one attempt
	Workers   int            // attempts in flight
	Allow     []netip.Prefix // private networks to which deliveries are allowed
	Deny      []netip.Prefix // networks to which they are not, regardless of Allow
	Proxy     *url.URL       // http, https, socks5 or socks5h, optionally with user and password; nil: none
	NoProxy   []string       // names, addresses and networks that are reached without the proxy, as in the environment variable NO_PROXY
	UserAgent string
	Keyring   *webhook.Keyring // opens the secrets of endpoints
	Clock     func() time.Time // the time for dates and signatures of attempts; nil: time.Now
	Paused    func() bool      // reports whether no attempts may begin, because the disk has no room to record them; nil: never
	Tracer    Tracer           // nil: nothing is traced
	Propagate []string         // names, with their subdomains, and addresses of receivers that get the trace context of an attempt, or "*" for all
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
}

// Pool makes the attempts while this node leads.
type Pool struct {
	config   Config
	deciding sync.Mutex // see Pool.done
	sender   *Sender
	tester   *Sender
	metrics  *metrics
	large    largePace
}

// NewPool returns a Pool, which does nothing until Run.
func NewPool(config Config) *Pool {
	return &Pool{
		config: config, metrics: newMetrics(config.Metrics),
		sender: newSender(&config), tester: newTester(config),
	}
}

// SetNetworks replaces Config.Allow and Config.Deny for attempts that begin from now on.
func (p *Pool) SetNetworks(allow, deny []netip.Prefix) {
	p.sender.dialer.setNetworks(allow, deny)
	p.tester.dialer.setNetworks(allow, deny)
}

// Run makes the attempts that the scheduler hands out until ctx ends or one can't be recorded, and
// records them through r. Attempts in flight then have drainPatience to finish. Run returns when
// all workers have stopped and all outcomes that can be recorded are recorded. After an error,
// which may also be that ctx ends, the attempts that are not recorded are to be made again.
func (p *Pool) Run(ctx context.Context, r Recorder, s *scheduler.Scheduler) (err error) {
	outcomes := make(chan webhook.Outcome, maxUnrecorded)
	recordCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var workers, others sync.WaitGroup
	others.Go(func() { s.Run(ctx) })
	landed := make(chan struct{}) // closed when no attempt is in flight any more
	others.Go(func() { p.disable(recordCtx, r, s, landed) })
	others.Go(func() { err = p.record(recordCtx, r, s, outcomes, stop) })
	for range p.config.Workers {
		workers.Go(func() { p.work(ctx, s, outcomes) })
	}
	<-ctx.Done()
	abort := time.AfterFunc(drainPatience, p.sender.dialer.abort)
	defer abort.Stop()
	workers.Wait()
	flush := time.AfterFunc(flushPatience, cancel)
	defer flush.Stop()
	close(landed)
	close(outcomes)
	others.Wait()
	p.sender.secrets.forgetAll()
	p.report(scheduler.Stats{})
	return err
}

// work runs one worker.
func (p *Pool) work(ctx context.Context, s *scheduler.Scheduler, outcomes chan<- webhook.Outcome) {
	for {
		d, ok := s.Next()
		if !ok {
			return
		}
		if !p.awaitRoom(ctx) || !p.large.await(ctx, len(d.Message.Payload)) {
			s.Abandon(d)
			continue
		}
		f := p.sender.begin(d)
		if !s.IsCurrent(&d) { // changes from now on revoke it
			f.revoke()
		}
		a, why, verdict := p.send(f)
		if ctx.Err() != nil && a.StatusCode == 0 {
			s.Abandon(d) // we may have aborted it ourselves: the next leader makes it again
			continue
		}
		p.count(d, &a, why)
		p.done(s, d, a, verdict, outcomes)
	}
}

// done has outcomes recorded in the order in which the scheduler decides them: what one attempt at
// a message leads to may depend on another at the same message.
func (p *Pool) done(s *scheduler.Scheduler, d webhook.Delivery, a webhook.Attempt, v scheduler.Verdict, outcomes chan<- webhook.Outcome) {
	p.deciding.Lock()
	defer p.deciding.Unlock()
	outcomes <- s.Done(d, a, v)
}

// send makes the attempt that was begun, and records it if its message is traced.
func (p *Pool) send(f *flight) (webhook.Attempt, reason, scheduler.Verdict) {
	if p.config.Tracer == nil || f.delivery.Message.Trace == nil {
		return p.sender.send(f)
	}
	start, begun := p.sender.clock(), time.Now() // more exact than those of an attempt
	a, why, verdict := p.sender.send(f)
	p.config.Tracer.Attempted(&f.delivery, &a, start, time.Since(begun), string(why))
	return a, why, verdict
}

// Revoke aborts the attempts that the scheduler, which has applied these changes, would no longer
// begin, because an endpoint was changed, paused, disabled or deleted, or a payload was expunged.
// No byte of their requests is sent after it returns. Attempts whose whole request the receiver
// has are not aborted: they only wait for its response, which counts.
func (p *Pool) Revoke(c webhook.Changes, s *scheduler.Scheduler) {
	for _, endpoint := range c.Endpoints {
		p.sender.secrets.forget(endpoint.ID)
		p.sender.revoke(endpoint.ID, s.IsCurrent)
	}
	for _, endpoint := range c.Removed {
		p.sender.secrets.forget(endpoint)
		p.sender.revoke(endpoint, s.IsCurrent)
	}
	for _, m := range c.Expunged {
		for _, endpoint := range p.sender.under(m.ID) {
			p.sender.revoke(endpoint, s.IsCurrent)
		}
	}
}

// awaitRoom waits while no attempts may begin. It returns false if ctx ends first.
func (p *Pool) awaitRoom(ctx context.Context) bool {
	for p.config.Paused != nil && p.config.Paused() {
		select {
		case <-time.After(pausedInterval):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (p *Pool) count(d webhook.Delivery, a *webhook.Attempt, why reason) {
	p.metrics.attempts[why].Inc()
	p.metrics.attemptSeconds.Observe(a.Duration.Seconds())
	if why == reasonSuccess {
		p.metrics.deliverSeconds.Observe(max(0, time.Since(d.Message.ID.Time()).Seconds()))
	}
}

// record writes outcomes until the channel is closed, one record after the other: the next one
// fills in the meantime. After one that fails it calls stop and writes no more: a cursor must never
// pass a gap in what is recorded.
func (p *Pool) record(ctx context.Context, r Recorder, s *scheduler.Scheduler, outcomes <-chan webhook.Outcome, stop func()) (failed error) {
	tick := time.NewTicker(cursorInterval)
	defer tick.Stop()
	for {
		var batch []webhook.Outcome
		select {
		case o, more := <-outcomes:
			if !more {
				return failed
			}
			batch = collect(o, outcomes)
		case <-s.Decided():
		case <-tick.C:
			p.report(s.Stats())
		}
		if failed != nil {
			continue
		}
		list := s.Checkpoint(batch, maxRecord)
		if len(list) == 0 {
			continue
		}
		if failed = r.RecordProgress(ctx, list); failed != nil {
			stop()
			continue
		}
		s.Settle(list)
	}
}

// disable disables endpoints that have failed for too long, or that have asked for no further
// messages, until landed is closed. If it fails, it is tried again when the endpoint fails again.
// What is to be recorded does not wait for that: a customer may have many that ask for it, and
// enable them again and again. Those that wait share entries, so that others soon have their turn.
func (p *Pool) disable(ctx context.Context, r Recorder, s *scheduler.Scheduler, landed <-chan struct{}) {
	for over := false; !over; {
		select {
		case <-s.Disabling():
		case <-landed:
			over = true
		}
		for found := true; found && ctx.Err() == nil; {
			var together sync.WaitGroup
			for range maxDisable {
				var d scheduler.Disable
				if d, found = s.NextDisabled(); !found {
					break
				}
				together.Go(func() { p.disableOne(ctx, r, d) })
			}
			together.Wait()
		}
	}
}

func (p *Pool) disableOne(ctx context.Context, r Recorder, d scheduler.Disable) {
	if err := r.DisableEndpoint(ctx, d.Endpoint, d.FailingSince); err != nil {
		p.config.Logger.Warn("could not disable an endpoint; it is tried again when the endpoint fails again", "endpoint", d.Endpoint.ID.Text(webhook.KindEndpoint), "error", err)
	}
}

// collect returns first and the outcomes that wait, up to the limits of a record.
func collect(first webhook.Outcome, outcomes <-chan webhook.Outcome) []webhook.Outcome {
	batch := []webhook.Outcome{first}
	size := sizeOf(&first)
	for len(batch) < maxRecord && size < maxRecordBytes {
		select {
		case o, more := <-outcomes:
			if !more {
				return batch
			}
			size += sizeOf(&o)
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// sizeOf returns about how many bytes an outcome takes in a record.
func sizeOf(o *webhook.Outcome) int {
	size := len(o.Attempt.Response) + len(o.Attempt.URL) + outcomeBytes
	if o.Attempt.Trace != nil {
		size += len(o.Attempt.Trace.Headers)
	}
	return size
}

func (p *Pool) report(stats scheduler.Stats) {
	p.metrics.inFlight.Set(float64(stats.InFlight))
	p.metrics.parked.Set(float64(stats.Parked))
	p.metrics.failing.Set(float64(stats.Failing))
	p.metrics.retries.Set(float64(stats.Retries))
	p.metrics.tailBytes.Set(float64(stats.Tail))
}
