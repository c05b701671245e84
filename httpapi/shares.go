package httpapi

import (
	"fmt"
	"sync"
	"time"

	"hookwheel/webhook"
)

const (
	maxBodies    = 128 << 20       // bytes of request bodies in flight
	maxResponses = 192 << 20       // bytes of large responses in flight
	patience     = 2 * time.Second // for memory that others are to give back
)

// codeTooMany is for a caller that has more in flight than its share.
const codeTooMany webhook.Code = "too_many_requests"

// shares is memory, or something else, that requests borrow while they are in flight. What the
// tokens of one application take is bounded, and so is what any other key takes, and what all
// applications take together, so that nobody can keep it from all others.
type shares struct {
	what  string // is lent, for errors
	total int64

	mu        sync.Mutex
	used      int64
	customers int64 // of that, by applications
	by        map[owner]int64
	freed     chan struct{} // closed when something was given back
}

// owner is the borrower: an application by its tokens, or a key of another role. The zero one is
// the token of the configuration.
type owner struct {
	application bool
	id          webhook.ID
}

// stranger is the owner of what is answered without a token. It has the share of an application,
// but is none: metrics are needed most when applications take all that they may.
var stranger = owner{application: true}

func (o owner) isCustomer() bool { return o.application && o != stranger }

func ownerOf(key *webhook.APIKey) owner {
	if key.Role == webhook.RoleApplication {
		return owner{application: true, id: key.App}
	}
	return owner{id: key.ID}
}

func newShares(what string, total int64) *shares {
	return &shares{what: what, total: total, by: make(map[owner]int64), freed: make(chan struct{})}
}

// share is what one owner may have at most.
func (s *shares) share(who owner) int64 {
	if who.application {
		return s.total / 8
	}
	return s.total / 2
}

// forCustomers is what all applications may have together.
func (s *shares) forCustomers() int64 { return s.total - s.total/4 }

// left is what an owner may borrow at present of what others have left. An application must leave
// five times as much as it has: one that is alone gets its share, but the more there are the less
// each gets, so that those which come later find something, as with the workers of package
// scheduler.
func (s *shares) left(who owner) int64 {
	left := s.total - s.used
	if who.isCustomer() {
		left = min(left, s.forCustomers()-s.customers-5*s.by[who])
	}
	return left
}

// add changes what an owner has.
func (s *shares) add(who owner, size int64) {
	s.used += size
	if who.isCustomer() {
		s.customers += size
	}
	if s.by[who] += size; s.by[who] == 0 {
		delete(s.by, who)
	}
}

// loan is what one request has borrowed.
type loan struct {
	from *shares
	who  owner
	size int64
}

// lend begins a loan; the caller must end it.
func (s *shares) lend(who owner, size int64) (*loan, error) {
	l := &loan{from: s, who: who}
	return l, l.grow(size)
}

// grow borrows more. It waits a while for others to give back what is missing.
func (l *loan) grow(more int64) error {
	s := l.from
	var timeout <-chan time.Time
	for {
		s.mu.Lock()
		own := s.by[l.who]+more > s.share(l.who)
		if !own && more <= s.left(l.who) {
			s.add(l.who, more)
			l.size += more
			s.mu.Unlock()
			return nil
		}
		freed := s.freed
		s.mu.Unlock()
		if timeout == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-freed:
		case <-timeout:
			return s.refuse(l.who, own)
		}
	}
}

// refuse says whose limit was reached.
func (s *shares) refuse(who owner, own bool) error {
	if own {
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf(
			"The %s of this caller take up the %d MiB that a caller may have in flight. Make fewer requests concurrently.", s.what, s.share(who)>>20)}
	}
	if who.isCustomer() {
		return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf("The %s of all applications share the %d MiB that this node has for them, "+
			"and what is left is kept for others. Try again, or use another node.", s.what, s.forCustomers()>>20)}
	}
	return &webhook.Error{Code: webhook.CodeUnavailable, Detail: fmt.Sprintf(
		"The %s of all callers take up the %d MiB that this node has for them. Try again, or use another node.", s.what, s.total>>20)}
}

// shrink gives back all but size.
func (l *loan) shrink(size int64) {
	s := l.from
	s.mu.Lock()
	defer s.mu.Unlock()
	back := l.size - size
	if back <= 0 {
		return
	}
	l.size = size
	s.add(l.who, -back)
	close(s.freed)
	s.freed = make(chan struct{})
}

// end gives back everything; it may be called again.
func (l *loan) end() { l.shrink(0) }
