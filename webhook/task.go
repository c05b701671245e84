package webhook

import "time"

// TaskKind is what a task does, in the words of the API.
type TaskKind string

// The kinds: which of the messages between Since and Until an endpoint is sent again.
const (
	TaskRecover       TaskKind = "endpoint.recover"        // those that failed and were not delivered
	TaskReplayMissing TaskKind = "endpoint.replay-missing" // those without any attempt
	TaskReplay        TaskKind = "endpoint.bulk-replay"    // those that Status says
)

// TaskStatus is how far a task is, in the words of the API but for paused and canceled, which are ours.
type TaskStatus string

// The statuses.
const (
	TaskRunning  TaskStatus = "running"
	TaskPaused   TaskStatus = "paused"
	TaskFinished TaskStatus = "finished"
	TaskCanceled TaskStatus = "canceled"
	TaskFailed   TaskStatus = "failed" // its endpoint or application is gone
)

// Over tells whether the task has come to its end.
func (s TaskStatus) Over() bool { return s != TaskRunning && s != TaskPaused }

// ReplayStatus says which messages a TaskReplay takes.
type ReplayStatus string

// The choices.
const (
	ReplayAll            ReplayStatus = "all"
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
	Rate       uint16       `json:"rate,omitempty"` // messages per second; 0: as fast as the endpoint takes them
	Status     TaskStatus   `json:"status"`
	Position   ID           `json:"position"`  // all in the log up to here is looked at
	Total      int64        `json:"total"`     // messages counted before it began; they may have become more or fewer
	Looked     int64        `json:"looked"`    // messages of the log
	Taken      int64        `json:"taken"`     // of them, those that are sent again
	Delivered  int64        `json:"delivered"` // of them, those that were delivered at the task's attempt
	Failed     int64        `json:"failed"`    // of them, those that were not; the schedule may still bring them over
	CreatedAt  time.Time    `json:"createdAt"`
	UpdatedAt  time.Time    `json:"updatedAt"`
}

// Waiting is how many messages the task has taken that are not yet attempted.
func (t *Task) Waiting() int64 { return t.Taken - t.Delivered - t.Failed }
