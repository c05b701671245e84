// Package receivertest is a receiver of webhooks for tests.
package receivertest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// Receiver is an endpoint of a customer that keeps what arrives. Load goes to bench.Sink, which
// only counts.
type Receiver struct {
	*httptest.Server

	mu       sync.Mutex
	respond  func(*Arrival) (status int)
	arrivals []Arrival
}

// Arrival is a request that a receiver has read.
type Arrival struct {
	At     time.Time
	ID     string // webhook-id
	Path   string
	Header http.Header
	Body   []byte
	Status int // of the response
}

// Took reports whether the receiver said that it took the message.
func (a *Arrival) Took() bool { return a.Status/100 == 2 }

// Start starts a receiver, which ends with the test. respond returns the status of each response,
// one after the other; with nil that is 200.
func Start(t testing.TB, respond func(*Arrival) (status int)) *Receiver {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return StartAt(t, listener, respond)
}

// StartAt is Start for a listener of the test's own, which it closes.
func StartAt(t testing.TB, listener net.Listener, respond func(*Arrival) (status int)) *Receiver {
	r := &Receiver{respond: respond}
	if respond == nil {
		r.Say(http.StatusOK)
	}
	r.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: r}}
	r.Start()
	t.Cleanup(r.Close)
	return r
}

// Say sets the status of all responses to come.
func (r *Receiver) Say(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.respond = func(*Arrival) int { return status }
}

func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil { // the sender was killed in the middle
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a := Arrival{At: time.Now(), ID: request.Header.Get("webhook-id"), Path: request.URL.Path, Header: request.Header, Body: body}
	r.mu.Lock()
	a.Status = r.respond(&a)
	r.arrivals = append(r.arrivals, a)
	r.mu.Unlock()
	w.WriteHeader(a.Status)
	fmt.Fprint(w, "thanks")
}

// Arrivals returns all that has arrived so far.
func (r *Receiver) Arrivals() []Arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrivals)
}

// Await waits for so many arrivals, and returns all there are then.
func (r *Receiver) Await(t testing.TB, count int) (got []Arrival) {
	t.Helper()
	wait.For(t, fmt.Sprintf("the receiver to see %d requests", count), func() bool {
		got = r.Arrivals()
		return len(got) >= count
	})
	return got
}

// Taken returns the ids of the messages that the receiver took, with how often it did.
func (r *Receiver) Taken() map[string]int {
	taken := make(map[string]int)
	for _, a := range r.Arrivals() {
		if a.Took() {
			taken[a.ID]++
		}
	}
	return taken
}
