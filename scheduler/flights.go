package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// flight identifies a delivery in flight.
type flight struct {
	source  webhook.Source
	message webhook.ID
}

// flying is a delivery under way.
type flying struct {
	since    time.Time
	full     bool      // the lane's limit was reached with it
	share    *share    // that has the worker
	class    class     // as which it has it
	tick     int64     // in which it started
	load     int       // bytes that it takes in memory, if many
	key      uint64    // its key in the store, see order.go
	due      time.Time // its line in the retry set, from which it came or into which it was put meanwhile; zero: none
	early    bool      // it went before its time
	settled  bool      // another attempt at the message succeeded meanwhile
	expunged bool      // the payload was, meanwhile
}

// flights are the deliveries of a lane that are under way; nil if there are none.
type flights map[flight]flying

// singles are the sources of attempts that nobody asked for.
var singles = [...]webhook.Source{webhook.SourceLog, webhook.SourceRetry, webhook.SourceHeld}

// begin adds a delivery.
func (f *flights) begin(name flight, begun flying) {
	if *f == nil {
		*f = make(flights)
	}
	(*f)[name] = begun
}

// land takes back a delivery. An idle lane keeps no map.
func (f *flights) land(name flight) {
	if delete(*f, name); len(*f) == 0 {
		*f = nil
	}
}

// delivered notes that a message was delivered, so that it is not retried if another attempt in
// flight fails.
func (f flights) delivered(message webhook.ID) {
	for _, source := range singles {
		name := flight{source, message}
		if one, underWay := f[name]; underWay {
			one.settled = true
			f[name] = one
		}
	}
}

// expunge notes that the payload of a message is gone.
func (f flights) expunge(message webhook.ID) {
	for name, one := range f {
		if name.message == message {
			one.expunged = true
			f[name] = one
		}
	}
}

// hasLine reports whether a line of a message and that time is in flight.
func (f flights) hasLine(message webhook.ID, due time.Time) bool {
	for _, source := range singles {
		if one, underWay := f[flight{source, message}]; underWay && one.due.Equal(due) {
			return true
		}
	}
	return false
}

// isRetrying reports whether a line of a message is in flight.
func (f flights) isRetrying(message webhook.ID) bool {
	_, retrying := f[flight{webhook.SourceRetry, message}]
	return retrying
}
