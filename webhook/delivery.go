package webhook

import "time"

// Delivery is one message on its way to one endpoint: what a worker is given to send.
type Delivery struct {
	Message  *Message
	Endpoint *Endpoint
	Number   uint32    // of the attempt to make; the first is 1
	Due      time.Time // when the retry set said that it is due; zero: it comes fresh from the log
}

// Outcome is what an attempt means for its delivery.
type Outcome struct {
	Due     time.Time // the delivery's: which line of the retry set this settles; zero: it came fresh from the log
	Attempt Attempt   // Attempt.Next says whether there will be another
}

// Progress is what one step of delivery did to one endpoint: the unit that the leader records.
type Progress struct {
	Endpoint ID
	Cursor   ID // all in the log up to here is attempted or filtered out, this step included
	Outcomes []Outcome
}

// Retry is one line of an endpoint's retry set.
type Retry struct {
	Message  ID
	Attempts uint32    // made so far
	Due      time.Time // exact to the millisecond
}
