package webhook

import "slices"

// Change is the kind of a StateChange.
type Change string

// The changes.
const (
	EndpointCreated   Change = "endpoint.created"
	EndpointUpdated   Change = "endpoint.updated"
	EndpointDeleted   Change = "endpoint.deleted"
	EndpointDisabled  Change = "endpoint.disabled"
	EndpointEnabled   Change = "endpoint.enabled"
	EndpointPaused    Change = "endpoint.paused"
	EndpointResumed   Change = "endpoint.resumed"
	EndpointParked    Change = "endpoint.parked"   // its breaker has opened
	EndpointUnparked  Change = "endpoint.unparked" // it responds again
	AppCreated        Change = "application.created"
	AppUpdated        Change = "application.updated"
	AppDeleted        Change = "application.deleted"
	AppTokensExpired  Change = "application.tokens_expired" // all of its tokens, or those of some sessions
	EventTypeCreated  Change = "event_type.created"
	EventTypeUpdated  Change = "event_type.updated"
	EventTypeArchived Change = "event_type.archived"
	EventTypeDeleted  Change = "event_type.deleted"
	KeyCreated        Change = "key.created"
	KeyRevoked        Change = "key.revoked"
	MessageExpunged   Change = "message.expunged"
	AttemptExpunged   Change = "attempt.expunged"
	MemberAdded       Change = "member.added"
	MemberRemoved     Change = "member.removed"
	SettingsUpdated   Change = "settings.updated"
	TaskStarted       Change = "task.started" // the others are named after a TaskStatus: task.paused, task.running, task.finished …
)

// AuditedChanges are the changes that somebody decides on. The others follow from deliveries.
var AuditedChanges = []Change{AppCreated, AppUpdated, AppDeleted, AppTokensExpired,
	EndpointCreated, EndpointUpdated, EndpointDeleted, EndpointDisabled, EndpointEnabled, EndpointPaused, EndpointResumed,
	EventTypeCreated, EventTypeUpdated, EventTypeArchived, EventTypeDeleted, KeyCreated, KeyRevoked,
	MessageExpunged, AttemptExpunged, MemberAdded, MemberRemoved, SettingsUpdated,
	TaskStarted, Change("task." + TaskPaused), Change("task." + TaskRunning), Change("task." + TaskCanceled)}

// StateChange is a change in the state of an endpoint, an application or another object. It names
// objects but has none of their contents.
type StateChange struct {
	ID        ID     `json:"id"` // assigned by the log
	Change    Change `json:"change"`
	By        Actor  `json:"by,omitzero"`
	App       ID     `json:"app,omitzero"`
	Endpoint  ID     `json:"endpoint,omitzero"`
	Task      ID     `json:"task,omitzero"`
	Message   ID     `json:"message,omitzero"`
	Attempt   ID     `json:"attempt,omitzero"`
	Key       ID     `json:"key,omitzero"`
	EventType string `json:"eventType,omitempty"`
	Member    string `json:"member,omitempty"` // name or address of a node
}

// IsAudited reports whether somebody decided on the change.
func (c *StateChange) IsAudited() bool { return slices.Contains(AuditedChanges, c.Change) }

// ForCustomers reports whether the customer whose application it is may see the change.
func (c *StateChange) ForCustomers() bool { return !c.App.IsZero() && c.Key.IsZero() }
