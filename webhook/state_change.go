package webhook

// Change is the kind of a StateChange.
type Change string

// The changes.
const (
	EndpointCreated  Change = "endpoint.created"
	EndpointUpdated  Change = "endpoint.updated"
	EndpointDeleted  Change = "endpoint.deleted"
	EndpointDisabled Change = "endpoint.disabled"
	EndpointEnabled  Change = "endpoint.enabled"
	EndpointPaused   Change = "endpoint.paused"
	EndpointResumed  Change = "endpoint.resumed"
	EndpointParked   Change = "endpoint.parked"   // its breaker has opened
	EndpointUnparked Change = "endpoint.unparked" // it responds again
	AppDeleted       Change = "application.deleted"
	TaskStarted      Change = "task.started" // the others are named after a TaskStatus: task.paused, task.running, task.finished …
)

// StateChange is a change in the state of an endpoint, an application or a task.
type StateChange struct {
	ID       ID     `json:"id"` // assigned by the log
	Change   Change `json:"change"`
	App      ID     `json:"app"`
	Endpoint ID     `json:"endpoint,omitzero"`
	Task     ID     `json:"task,omitzero"`
}
