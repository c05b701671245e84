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
	ctx      context.Context // of dialing
	cancel   context.CancelFunc
	deadline time.Time

	mu      sync.Mutex
	on      *conn // that carries the request; nil: none
	sent    bool  // the kernel has the whole request
	revoked bool
	broken  bool // by revoke
}

// begin registers an attempt, so that it can be revoked. The caller must call send.
func (s *Sender) begin(d webhook.Delivery) *flight {
	f := &flight{delivery: d}
	f.ctx, f.cancel = s.dialer.within(s.timeout)
	f.deadline, _ = f.ctx.Deadline()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[d.Endpoint.ID] == nil {
		s.flights[d.Endpoint.ID] = make(map[*flight]struct{})
	}
	s.flights[d.Endpoint.ID][f] = struct{}{}
	return f
}

func (s *Sender) end(f *flight) {
	f.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.flights[f.delivery.Endpoint.ID]
	if delete(list, f); len(list) == 0 {
		delete(s.flights, f.delivery.Endpoint.ID)
	}
}

// revoke aborts the attempts to an endpoint that are not current, unless the receiver has their
// whole request. When it returns, the kernel holds no byte of the aborted ones. The others only
// wait for a response, which still counts.
func (s *Sender) revoke(endpoint webhook.ID, current func(*webhook.Delivery) bool) {
	var list []*flight
	s.mu.Lock()
	for f := range s.flights[endpoint] {
		list = append(list, f)
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
	for endpoint, list := range s.flights {
		for f := range list {
			if f.delivery.ID == message {
				endpoints = append(endpoints, endpoint)
				break
			}
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
		f.cancel()
	case !f.sent || f.on.pending():
		f.broken = true
		f.on.Close()
	}
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

// write passes the request to the kernel.
func (f *flight) write(l *link, head, body []byte) error {
	if err := l.SetDeadline(f.deadline); err != nil {
		return err
	}
	if len(head)+len(body) <= maxOneWrite {
		head, body = append(head, body...), nil
	}
	_, err := l.Write(head)
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
