package webhook

import "time"

// Source is where a delivery comes from: which of an endpoint's records its outcome settles.
type Source uint8

// The sources.
const (
	SourceLog    Source = 0 // the log, at the cursor
	SourceRetry  Source = 1 // the retry set: tried before, or not due until now
	SourceHeld   Source = 2 // the held set: it stood behind another of its ordering key
	SourceManual Source = 3 // the manual set: a user or a task asked for it
)

// Delivery is one message on its way to one endpoint: what a worker is given to send.
type Delivery struct {
	Message  *Message // nil: it has left the log
	ID       ID       // of the message
	Endpoint *Endpoint
	Source   Source
	Due      time.Time // of SourceRetry: when the retry set said that it is due, which names its line
	Number   uint32    // of the attempt to make; the first is 1; manual ones are numbered on their own
	Spent    uint32    // attempts that count against the schedule so far
	Probe    bool      // the endpoint is parked: this attempt does not count against the schedule
	Task     ID        // of SourceManual: the task that asked for it
	Retry    bool      // of SourceManual: follows the schedule if it fails
}

// Outcome is what became of a delivery. It settles the record that the delivery came from; what is
// to come stands in the attempt's Next, or in Hold.
type Outcome struct {
	Source  Source
	Due     time.Time // the delivery's
	Attempt Attempt   // Number 0: none was made, the message is only put into the retry set until Next, or held
	Spent   uint32    // attempts that count against the schedule, this one included if it does
	Hold    bool      // with Number 0: the message is put into the held set, behind another of its key
	Key     uint64    // OrderingKeyHash of the message at an endpoint that keeps an order per key; else 0
}

// Progress is what one step of delivery did to one endpoint: the unit that the leader records.
type Progress struct {
	Endpoint ID
	Cursor   ID // all in the log up to here is settled, put off or filtered out, this step included
	Outcomes []Outcome
	Health   *Health // what has become of it; nil: as before
}

// Retry is one line of an endpoint's retry set: a message that is to be sent at a later time.
type Retry struct {
	Message ID
	Due     time.Time // exact to the millisecond
	Made    uint32    // attempts made so far; 0: it is a scheduled message
	Spent   uint32    // of them, those that count against the schedule
	Key     uint64    // as in Outcome
}

// Held is one line of an endpoint's held set: a message behind another of its ordering key.
type Held struct {
	Key     uint64
	Message ID
}

// Manual is one line of an endpoint's manual set: a message that a user or a task wants sent now,
// whatever else is planned.
type Manual struct {
	Message ID
	Number  uint32 // of the manual attempt to make; the first is 1
	Made    uint32 // scheduled attempts made so far
	Task    ID     // zero: a user's resend
	Retry   bool   // follows the schedule if it fails
}

// Health is how an endpoint fares, as the leader sees it. It is recorded so that the next leader
// goes on where this one stood.
type Health struct {
	Parked       bool      `json:"parked,omitempty"`      // the breaker is open: only probes are sent
	Since        time.Time `json:"since,omitzero"`        // of Parked
	FailingSince time.Time `json:"failingSince,omitzero"` // of the first failure after the last success; zero: the last attempt succeeded
	Probes       uint32    `json:"probes,omitempty"`      // that failed since it was parked
	NextProbe    time.Time `json:"nextProbe,omitzero"`    //
	LastFailure  string    `json:"lastFailure,omitempty"` // in few words, at most 200 bytes
	Rests        time.Time `json:"rests,omitzero"`        // until when the endpoint asked to be left alone; may be over
}

// OrderingKeyHash is FNV-1a, 64 bits, of an ordering key, never 0; 0 means no key. Two keys with
// the same hash wait for each other, which harms nobody.
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
