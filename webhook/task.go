package webhook

import (
	"slices"
	"time"
)

// TaskKind is what a task does. SDKs refuse values other than these, which are the API's.
type TaskKind string

// The kinds. Each selects which messages between Since and Until are sent to the endpoint again.
const (
	TaskRecover       TaskKind = "endpoint.recover"     // messages that failed and were not delivered
	TaskReplayMissing TaskKind = "endpoint.replay"      // messages without any attempt
	TaskReplay        TaskKind = "endpoint.bulk-replay" // messages that Which selects
)

// TaskStatus is the state of a task. The API of Svix defines all values except paused and canceled.
type TaskStatus string

// The statuses.
const (
	TaskRunning  TaskStatus = "running"
	TaskPaused   TaskStatus = "paused"
	TaskFinished TaskStatus = "finished"
	TaskCanceled TaskStatus = "canceled"
	TaskFailed   TaskStatus = "failed" // its endpoint or application was deleted
)

// IsOver reports whether the task has ended.
func (s TaskStatus) IsOver() bool { return s != TaskRunning && s != TaskPaused }

// ReplayStatus selects the messages of a TaskReplay.
type ReplayStatus string

// The choices.
const (
	ReplayAll            ReplayStatus = "all"
	ReplayDelivered      ReplayStatus = "delivered"
	ReplayFailed         ReplayStatus = "failed"          // attempted but not delivered
	ReplayNeverAttempted ReplayStatus = "never-attempted" // such as messages from before the endpoint was created
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
	CodeClass  *uint16      `json:"codeClass,omitempty"` // class of an attempt's status: 0 (no response), 100, 200 … 500
	Rate       uint16       `json:"rate,omitempty"`      // messages per second; 0: as fast as the endpoint accepts them
	Status     TaskStatus   `json:"status"`
	Position   ID           `json:"position"`  // the log was examined up to here
	Total      int64        `json:"total"`     // messages counted before the task began, of which there may be more or fewer now; -1: too many to count
	Looked     int64        `json:"looked"`    // messages of the log examined so far
	Taken      int64        `json:"taken"`     // of these, messages to be sent again
	Delivered  int64        `json:"delivered"` // of those taken, messages delivered by the task's attempt
	Failed     int64        `json:"failed"`    // of those taken, messages that were not; the schedule may still deliver them
	CreatedAt  time.Time    `json:"createdAt"`
	UpdatedAt  time.Time    `json:"updatedAt"`
}

// Validate checks the fields that a client sets, except for the times.
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

// Waiting returns how many messages the task has taken but not yet attempted.
func (t *Task) Waiting() int64 { return t.Taken - t.Delivered - t.Failed }

// Room returns how many more messages the task may take before some of the waiting ones are
// attempted. With a rate, no more may wait than are sent in one second: after an outage they are
// all sent at once.
func (t *Task) Room() int64 {
	limit := int64(MaxTaskLines)
	if t.Rate > 0 {
		limit = min(limit, int64(t.Rate))
	}
	return limit - t.Waiting()
}

// Begin returns the position in the log after which the task's range begins.
func (t *Task) Begin() ID { return NewID(t.Since.UnixMilli(), 0, 0) }

// End returns the position in the log before which the task's range ends; a task whose Position is
// there has examined everything. The range of a task that has no ID yet is bounded only by its
// times.
func (t *Task) End() ID {
	end := NewID(t.Until.UnixMilli()+4, 0, 0) // IDs are exact to 4 ms
	if !t.ID.IsZero() && end.After(t.ID) {
		return t.ID
	}
	return end
}

// Wants reports whether a message matches the task, regardless of its delivery state.
func (t *Task) Wants(m *Message) bool {
	return (len(t.EventTypes) == 0 || slices.Contains(t.EventTypes, m.EventType)) &&
		(t.Channel == "" || slices.Contains(m.Channels, t.Channel)) &&
		(t.Tag == "" || slices.Contains(m.Tags, t.Tag))
}

// Limits of a task.
const (
	MaxTaskStep  = 64  // messages that one step may take
	MaxTaskLines = 512 // messages of one task that may wait in the manual set
)

// TaskStep is one step of a task: it examined the log from one position to another, and takes some
// of the messages in between.
type TaskStep struct {
	Task     ID
	From, To ID  // From is the Position of the task when the step was computed
	Looked   int // messages of the log
	Messages []ID
}
