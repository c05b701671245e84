package webhook

import "time"

// Status is how an attempt ended.
type Status uint8

// The statuses, with the numbers that the API gives them.
const (
	StatusSuccess  Status = 0
	StatusPending  Status = 1
	StatusFail     Status = 2
	StatusSending  Status = 3
	StatusCanceled Status = 4 // nothing was sent and nothing will be; Response says why
)

func (s Status) String() string {
	switch s {
	case StatusSuccess:
		return "success"
	case StatusPending:
		return "pending"
	case StatusSending:
		return "sending"
	case StatusCanceled:
		return "canceled"
	default:
		return "fail"
	}
}

// Trigger is what caused an attempt.
type Trigger uint8

// The triggers, with the numbers that the API gives them.
const (
	TriggerScheduled Trigger = 0
	TriggerManual    Trigger = 1
)

// MaxResponse is how many bytes of a receiver's response body an attempt keeps.
const MaxResponse = 20_000

// Attempt is one HTTP request that carried a message to an endpoint, and its outcome.
type Attempt struct {
	ID         ID // assigned by the log when the attempt is recorded
	Message    ID
	Endpoint   ID
	URL        string        // where the request went; the endpoint's URL may have changed since
	Number     uint32        // the first is 1
	Trigger    Trigger       //
	Status     Status        //
	StatusCode uint16        // 0: no response
	Start      time.Time     // exact to the millisecond
	Duration   time.Duration // exact to the millisecond
	Response   []byte        // the first MaxResponse bytes of the response body, or the text of the error
	Next       time.Time     // when the next attempt is due; zero: never
	Task       ID            // the task that requested the attempt; zero: none
	Trace      *Trace        // nil: nothing was sent, or nothing is known
}
