package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"hookwheel/webhook"
)

// errRevoked means that an attempt was aborted because its message must no longer go to its
// endpoint, or not in this form.
var errRevoked = errors.New("the endpoint was changed, paused, disabled or deleted, or the payload expunged")

// flight is an attempt in flight. Any goroutine may revoke it.
type flight struct {
	delivery webhook.Delivery
	parent   context.Context // of dialing; the dialer's
	deadline time.Time

	mu      sync.Mutex
	cancel  context.CancelFunc // ends dialing; nil: a connection is not being made
	on      *conn              // that carries the request; nil: none
	sent    bool               // the kernel has the whole request
	revoked bool
	broken  bool // by revoke
}

// begin registers an attempt, so that it can be revoked. The caller must call send.
func (s *Sender) begin(d webhook.Delivery) *flight {
	f := &flight{delivery: d, parent: s.dialer.context(), deadline: time.Now().Add(s.timeout)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flights[f] = struct{}{}
	return f
}

func (s *Sender) end(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, f)
}

// revoke aborts the attempts to an endpoint that are not current, unless the receiver has their
// whole request. When it returns, the kernel holds no byte of the aborted ones. The others only
// wait for a response, which still counts.
func (s *Sender) revoke(endpoint webhook.ID, current func(*webhook.Delivery) bool) {
	var list []*flight
	s.mu.Lock()
	for f := range s.flights {
		if f.delivery.Endpoint.ID == endpoint {
			list = append(list, f)
		}
	}
	s.mu.Unlock()
	for _, f := range list {
		if !current(&f.delivery) {
			f.revoke()
		}
	}
}

// under returns the endpoints to which a message is in flight.
func (s *Sender) under(message webhook.ID) (endpoints []webhook.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.flights {
		if f.delivery.ID == message {
			endpoints = append(endpoints, f.delivery.Endpoint.ID)
		}
	}
	return endpoints
}

func (f *flight) revoke() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = true
	switch {
	case f.on == nil:
		f.broken = true
		if f.cancel != nil {
			f.cancel()
		}
	case !f.sent || f.on.pending():
		f.broken = true
		f.on.Close()
	}
}

// dialing returns the context for making a connection. The caller must call dialed.
func (f *flight) dialing() (context.Context, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revoked {
		f.broken = true
		return nil, errRevoked
	}
	ctx, cancel := context.WithDeadline(f.parent, f.deadline)
	f.cancel = cancel
	return ctx, nil
}

func (f *flight) dialed() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cancel()
	f.cancel = nil
}

// attach sets the connection that carries the request from now on.
func (f *flight) attach(c *conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revoked {
		f.broken = true
		return errRevoked
	}
	f.on, f.sent = c, false
	return nil
}

// detach notes that the connection no longer carries the request.
func (f *flight) detach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = nil
}

// write passes the request to the kernel; body is what did not fit into request.
func (f *flight) write(l *link, request, body []byte) error {
	if err := l.SetDeadline(f.deadline); err != nil {
		return err
	}
	_, err := l.Write(request)
	if err == nil && len(body) > 0 {
		_, err = l.Write(body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = err == nil
	return err
}

// cause returns errRevoked if revoke aborted the attempt, and otherwise err.
func (f *flight) cause(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return errRevoked
	}
	return err
}
