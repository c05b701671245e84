package webhook

import "time"

// Source is where a delivery comes from, and so which of the endpoint's records its outcome
// settles.
type Source uint8

// The sources.
const (
	SourceLog    Source = 0 // the log, at the cursor
	SourceRetry  Source = 1 // the retry set: tried before, or not due until now
	SourceHeld   Source = 2 // the held set: the message waited behind another with its ordering key
	SourceManual Source = 3 // the manual set: a user or a task asked for it
)

// Delivery is one message on its way to one endpoint, as a worker receives it.
type Delivery struct {
	Message  *Message // nil: it has left the log
	ID       ID       // of the message
	Endpoint *Endpoint
	Source   Source
	Due      time.Time // of SourceRetry: the due time in the retry set, which identifies its record
	Number   uint32    // of the attempt to make, from 1; manual attempts are numbered separately
	Spent    uint32    // attempts so far that count against the schedule
	Probe    bool      // the endpoint is parked: this attempt does not count against the schedule
	Task     ID        // of SourceManual: the task that requested it
	Retry    bool      // of SourceManual: follows the schedule if it fails
}

// Outcome is the result of a delivery. It settles the record that the delivery came from; the
// attempt's Next, or Hold, says what happens next.
type Outcome struct {
	Source    Source
	Due       time.Time // the delivery's
	Attempt   Attempt   // Number 0: no attempt was made; the message only moves to the retry set until Next, or to the held set
	Spent     uint32    // attempts that count against the schedule, including this one if it counts
	Scheduled time.Time // of a message that was to be sent later: the time it was due; otherwise zero
	Hold      bool      // with Number 0: the message moves to the held set, behind another with its key
	Key       uint64    // OrderingKeyHash of the message if the endpoint keeps an order per key; otherwise 0
}

// Progress is the effect of one delivery step on one endpoint, the unit that the leader records.
type Progress struct {
	Endpoint ID
	Cursor   ID // everything in the log up to here is settled, postponed or filtered out, including this step
	Outcomes []Outcome
	Health   *Health // the endpoint's new health; nil: unchanged
}

// Retry is one record of an endpoint's retry set: a message to be sent later.
type Retry struct {
	Message ID
	Due     time.Time // exact to the millisecond
	Made    uint32    // attempts made so far; 0 for a scheduled message
	Spent   uint32    // how many of them count against the schedule
	Key     uint64    // as in Outcome
}

// Held is one record of an endpoint's held set: a message behind another with its ordering key.
type Held struct {
	Key     uint64
	Message ID
}

// Manual is one record of an endpoint's manual set: a message that a user or a task wants sent now,
// regardless of its schedule.
type Manual struct {
	Message ID
	Number  uint32 // of the manual attempt to make; the first is 1
	Made    uint32 // scheduled attempts made so far
	Task    ID     // zero: a user's resend
	Retry   bool   // follows the schedule if it fails
}

// Health is the leader's view of an endpoint. It is recorded so that the next leader can continue
// from it.
type Health struct {
	Parked       bool      `json:"parked,omitempty"`      // the breaker is open: only probes are sent
	Probes       uint32    `json:"probes,omitempty"`      // failed probes since the endpoint was parked
	Since        time.Time `json:"since,omitzero"`        // of Parked
	FailingSince time.Time `json:"failingSince,omitzero"` // time of the first failure since the last success; zero: the last attempt succeeded
	NextProbe    time.Time `json:"nextProbe,omitzero"`    //
	LastFailure  string    `json:"lastFailure,omitempty"` // a short text, at most 200 bytes
	Rests        time.Time `json:"rests,omitzero"`        // until when the endpoint asked not to be called; may be in the past
}

// OrderingKeyHash returns the 64-bit FNV-1a hash of an ordering key. It is never 0, which means no
// key. Messages of two keys with the same hash wait for each other, which is harmless.
func OrderingKeyHash(key string) uint64 {
	if key == "" {
		return 0
	}
	hash := uint64(14695981039346656037)
	for i := range len(key) {
		hash = (hash ^ uint64(key[i])) * 1099511628211
	}
	return max(hash, 1)
}
