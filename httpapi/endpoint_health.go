package httpapi

import (
	"fmt"
	"strings"
	"time"

	"hookwheel/wal"
)

// healthOut is how an endpoint fares, for programs and in words.
type healthOut struct {
	State        string     `json:"state"`   // healthy, failing, parked, paused, disabled
	Blocked      bool       `json:"blocked"` // messages wait behind one that failed, to keep the order
	Text         string     `json:"text"`
	Since        *time.Time `json:"since"`        // of parked
	FailingSince *time.Time `json:"failingSince"` // of the first failure after the last success
	NextProbe    *time.Time `json:"nextProbe"`    // of parked
	Waiting      uint64     `json:"waiting"`      // messages in the retry set
	Held         uint64     `json:"held"`         // messages behind others of their ordering key
	Requested    uint64     `json:"requested"`    // messages to be sent by hand or by a replay
	Behind       uint64     `json:"behind"`       // messages in the log that the cursor has not reached
	BehindMore   bool       `json:"behindMore"`   // there may be more than that
	Oldest       *time.Time `json:"oldest"`       // when the oldest of all that waits was accepted
	Expired      uint64     `json:"expired"`      // messages that left the log before they were delivered or given up
}

func showHealth(at wal.EndpointStatus, backlog *wal.Backlog) healthOut {
	h := at.Health
	out := healthOut{State: at.State.String(), Blocked: at.Blocked, FailingSince: optional(h.FailingSince),
		Waiting: backlog.Retrying, Held: backlog.Held, Requested: backlog.Requested, Behind: backlog.Behind,
		BehindMore: backlog.More, Oldest: optional(backlog.Oldest), Expired: at.Expired}
	var text strings.Builder
	switch at.State {
	case wal.Disabled:
		text.WriteString("disabled: nothing is sent; messages wait in the log until it is enabled")
	case wal.Paused:
		text.WriteString("paused by a user: nothing is sent; messages wait in the log until it is resumed")
	case wal.Parked:
		out.Since, out.NextProbe = optional(h.Since), optional(h.NextProbe)
		fmt.Fprintf(&text, "parked since %s; next probe at %s", words(h.Since), words(h.NextProbe))
		if h.Probes > 0 {
			fmt.Fprintf(&text, ", after %d that failed", h.Probes)
		}
	default:
		text.WriteString(at.State.String())
	}
	if at.Blocked {
		text.WriteString("; messages wait behind one that failed, to keep the order")
	}
	if !h.FailingSince.IsZero() {
		fmt.Fprintf(&text, "; no success since %s", words(h.FailingSince))
		if h.LastFailure != "" {
			fmt.Fprintf(&text, "; last failure: %s", h.LastFailure)
		}
	}
	if h.Rests.After(time.Now()) {
		fmt.Fprintf(&text, "; it asked to wait until %s", words(h.Rests))
	}
	if out.BehindMore && out.Behind > 0 {
		fmt.Fprintf(&text, "; at least %d messages wait in the log", out.Behind)
	} else {
		count(&text, out.Behind, "waits in the log", "wait in the log")
	}
	count(&text, out.Waiting, "waits in the retry set", "wait in the retry set")
	count(&text, out.Requested, "is to be sent again on request", "are to be sent again on request")
	count(&text, out.Held, "waits behind another of its ordering key", "wait behind others of their ordering keys")
	if !backlog.Oldest.IsZero() {
		fmt.Fprintf(&text, "; the oldest is from %s", words(backlog.Oldest))
	}
	count(&text, at.Expired, "has expired undelivered", "have expired undelivered")
	out.Text = text.String()
	return out
}

// words returns a time as texts for users show it.
func words(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func count(text *strings.Builder, n uint64, one, many string) {
	switch n {
	case 0:
	case 1:
		fmt.Fprintf(text, "; 1 message %s", one)
	default:
		fmt.Fprintf(text, "; %d messages %s", n, many)
	}
}
