package delivery

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

// oneMessage is the backlog of an endpoint whose log has one message.
type oneMessage struct {
	scheduler.Backlog
	message *webhook.Message
}

func (b oneMessage) Place(webhook.ID) scheduler.Place { return scheduler.Place{} }

func (b oneMessage) Window(_, after webhook.ID, _, _ int) ([]*webhook.Message, error) {
	if b.message.ID.After(after) {
		return []*webhook.Message{b.message}, nil
	}
	return nil, nil
}

func (b oneMessage) Retries(webhook.ID, webhook.Retry, int) ([]webhook.Retry, error) { return nil, nil }
func (b oneMessage) Manual(webhook.ID, bool, int) ([]webhook.Manual, error)          { return nil, nil }
func (b oneMessage) Held(webhook.ID, webhook.Held, int) ([]webhook.Held, error)      { return nil, nil }
func (b oneMessage) MayHaveLeft(webhook.ID) bool                                     { return false }

// onePool returns a pool, and a scheduler that hands out one message to an endpoint at address.
func onePool(address string) (*Pool, *scheduler.Scheduler) {
	d := testDelivery("http://" + address)
	d.Endpoint.ID, d.Endpoint.App, d.Message.App = webhook.NewID(1, 0, 1), webhook.NewID(1, 0, 2), webhook.NewID(1, 0, 2)
	log := slog.New(slog.DiscardHandler)
	p := NewPool(Config{Timeout: senderTimeout, Workers: 2, Allow: loopback, Keyring: new(webhook.Keyring), Logger: log, Metrics: prometheus.NewRegistry()})
	s := scheduler.New(oneMessage{message: d.Message}, 1, scheduler.Config{Workers: 2, PerEndpoint: 1, Timeout: senderTimeout}, log)
	s.Apply(webhook.Changes{Endpoints: []*webhook.Endpoint{d.Endpoint}})
	return p, s
}

// refusing is a Recorder that records nothing.
type refusing struct{ err error }

func (r refusing) RecordProgress(context.Context, []webhook.Progress) error { return r.err }
func (r refusing) DisableEndpoint(context.Context, *webhook.Endpoint, time.Time) error {
	return r.err
}

// A pool whose record fails ends, although its node still leads: the node can begin again with what
// is recorded. If it went on, nothing would be recorded until there is another leader.
func TestPoolEndsWhenRecordFails(t *testing.T) {
	address, requests := keepAliveServer(t, func(net.Conn, *bufio.Reader) {})
	p, s := onePool(address)
	refused := errors.New("the log refuses it")
	if err := p.Run(t.Context(), refusing{refused}, s); err != refused {
		t.Errorf("it ends with %v", err)
	}
	if n := requests.Load(); n != 1 {
		t.Errorf("%d attempts were made", n)
	}
}

// runUntil runs a pool until done is closed, or for some seconds, after which it says what is wrong.
func runUntil(t *testing.T, p *Pool, s *scheduler.Scheduler, r Recorder, done <-chan struct{}, wrong string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := p.Run(ctx, r, s); err != nil {
		t.Error(err)
	}
	select {
	case <-done:
	default:
		t.Error(wrong)
	}
}

// slowToDisable is a Recorder to which no endpoint is disabled before an attempt is recorded.
type slowToDisable struct{ disabling, recorded chan struct{} }

func (r slowToDisable) DisableEndpoint(ctx context.Context, _ *webhook.Endpoint, _ time.Time) error {
	close(r.disabling)
	select {
	case <-r.recorded:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r slowToDisable) RecordProgress(ctx context.Context, list []webhook.Progress) error {
	<-r.disabling
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i := range list {
		if len(list[i].Outcomes) > 0 {
			close(r.recorded)
		}
	}
	return nil
}

// Attempts are recorded while endpoints wait to be disabled: one customer's may be many, and the
// attempts are those of all.
func TestDisablingDelaysNoRecord(t *testing.T) {
	address := rawServer(t, say("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"))
	p, s := onePool(address)
	r := slowToDisable{make(chan struct{}), make(chan struct{})}
	runUntil(t, p, s, r, r.recorded, "the attempt was not recorded")
}

// disablesTogether is a Recorder to which the first endpoint is disabled once all three have
// answered, and another one only beside a second.
type disablesTogether struct {
	answered, together chan struct{}
	calls, active      atomic.Int32
	once               sync.Once
}

func (r *disablesTogether) RecordProgress(_ context.Context, list []webhook.Progress) error {
	for i := range list {
		for range list[i].Outcomes {
			r.answered <- struct{}{}
		}
	}
	return nil
}

func (r *disablesTogether) DisableEndpoint(ctx context.Context, _ *webhook.Endpoint, _ time.Time) error {
	waits, times := r.together, 1
	if r.calls.Add(1) == 1 {
		waits, times = r.answered, 3
	}
	if r.active.Add(1) > 1 {
		r.once.Do(func() { close(r.together) })
	}
	defer r.active.Add(-1)
	for range times {
		select {
		case <-waits:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Endpoints that wait to be disabled share an entry of the log: those of one customer, which may be
// many, hardly delay those of others.
func TestDisablesTogether(t *testing.T) {
	address := rawServer(t, say("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"))
	p, s := onePool(address)
	for i := range uint32(2) {
		other := *testDelivery("http://" + address).Endpoint
		other.ID, other.App = webhook.NewID(1, 0, 3+i), webhook.NewID(1, 0, 2)
		s.Apply(webhook.Changes{Endpoints: []*webhook.Endpoint{&other}})
	}
	r := &disablesTogether{answered: make(chan struct{}, 3), together: make(chan struct{})}
	runUntil(t, p, s, r, r.together, "one endpoint was disabled after the other")
}
