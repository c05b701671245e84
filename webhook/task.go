package webhook

import (
	"slices"
	"time"
)

// TaskKind is what a task does, in the words of the API: SDKs refuse others.
type TaskKind string

// The kinds: which of the messages between Since and Until an endpoint is sent again.
const (
	TaskRecover       TaskKind = "endpoint.recover"     // those that failed and were not delivered
	TaskReplayMissing TaskKind = "endpoint.replay"      // those without any attempt
	TaskReplay        TaskKind = "endpoint.bulk-replay" // those that Which says
)

// TaskStatus is how far a task is, in the words of the API but for paused and canceled, which are
// ours.
type TaskStatus string

// The statuses.
const (
	TaskRunning  TaskStatus = "running"
	TaskPaused   TaskStatus = "paused"
	TaskFinished TaskStatus = "finished"
	TaskCanceled TaskStatus = "canceled"
	TaskFailed   TaskStatus = "failed" // its endpoint or application is gone
)

// Over reports whether the task has ended.
func (s TaskStatus) Over() bool { return s != TaskRunning && s != TaskPaused }

// ReplayStatus says which messages a TaskReplay takes.
type ReplayStatus string

// The choices.
const (
	ReplayAll            ReplayStatus = "all"
	ReplayDelivered      ReplayStatus = "delivered"
	ReplayFailed         ReplayStatus = "failed"          // attempted, and not delivered
	ReplayNeverAttempted ReplayStatus = "never-attempted" // such as those from before the endpoint was made
)

// Task is a replay: another cursor over an application's log, for one endpoint.
type Task struct {
	ID         ID           `json:"id"`
	Kind       TaskKind     `json:"kind"`
	App        ID           `json:"app"`
	Endpoint   ID           `json:"endpoint"`
	Since      time.Time    `json:"since"`
	Until      time.Time    `json:"until"`
	Which      ReplayStatus `json:"which"`
	EventTypes []string     `json:"eventTypes,omitempty"` // empty: all that the endpoint wants
	Channel    string       `json:"channel,omitempty"`
	Tag        string       `json:"tag,omitempty"`
	CodeClass  *uint16      `json:"codeClass,omitempty"` // an attempt was answered by such a status: 0 (no answer), 100, 200 … 500
	Rate       uint16       `json:"rate,omitempty"`      // messages per second; 0: as fast as the endpoint takes them
	Status     TaskStatus   `json:"status"`
	Position   ID           `json:"position"`  // all in the log up to here is looked at
	Total      int64        `json:"total"`     // messages counted before it began, which may have become more or fewer; -1: too many to count
	Looked     int64        `json:"looked"`    // messages of the log
	Taken      int64        `json:"taken"`     // of them, those that are sent again
	Delivered  int64        `json:"delivered"` // of them, those that were delivered at the task's attempt
	Failed     int64        `json:"failed"`    // of them, those that were not; the schedule may still bring them over
	CreatedAt  time.Time    `json:"createdAt"`
	UpdatedAt  time.Time    `json:"updatedAt"`
}

// Validate checks what a caller may choose, apart from the times.
func (t *Task) Validate() error {
	if err := validWords("eventTypes", t.EventTypes, maxEventTypes, maxEventTypesBytes); err != nil {
		return err
	}
	if t.Channel != "" {
		if err := validWord("channel", t.Channel); err != nil {
			return err
		}
	}
	if t.Tag != "" {
		return validTag("tag", t.Tag)
	}
	return nil
}

// Waiting is how many messages the task has taken that are not yet attempted.
func (t *Task) Waiting() int64 { return t.Taken - t.Delivered - t.Failed }

// Room is how many more messages the task may take before some of those that wait are attempted. At
// a rate no more may wait than one second brings: after a standstill they go out together.
func (t *Task) Room() int64 {
	most := int64(MaxTaskLines)
	if t.Rate > 0 {
		most = min(most, int64(t.Rate))
	}
	return most - t.Waiting()
}

// Begin is the place in the log behind which the task's range begins.
func (t *Task) Begin() ID { return NewID(t.Since.UnixMilli(), 0, 0) }

// End is the place in the log before which the task's range ends; when its position is there it has
// looked at all. A task that is not made yet has no bound but its times.
func (t *Task) End() ID {
	end := NewID(t.Until.UnixMilli()+4, 0, 0) // ids are exact to 4 ms
	if !t.ID.IsZero() && end.After(t.ID) {
		return t.ID
	}
	return end
}

// Wants reports whether the task is about a message, regardless of its delivery state.
func (t *Task) Wants(m *Message) bool {
	return (len(t.EventTypes) == 0 || slices.Contains(t.EventTypes, m.EventType)) &&
		(t.Channel == "" || slices.Contains(m.Channels, t.Channel)) &&
		(t.Tag == "" || slices.Contains(m.Tags, t.Tag))
}

// Bounds of a task.
const (
	MaxTaskStep  = 64  // messages that one step takes
	MaxTaskLines = 512 // messages that one task has waiting in the manual set
)

// TaskStep is how far a task has come: it has looked at the log from one place to another and takes
// some of its messages.
type TaskStep struct {
	Task     ID
	From, To ID  // From is the position of the task that the step was made of
	Looked   int // messages of the log
	Messages []ID
}
