package wal

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"hookwheel/webhook"
)

const (
	maxOpenTasks     = 1000 // unfinished tasks of all endpoints
	maxAppTasks      = 256  // unfinished tasks of one application, whatever the configuration says
	reservedTasks    = 200  // part of maxOpenTasks kept for applications that have none
	maxEndpointTasks = 16   // unfinished tasks of one endpoint
	maxTasksOver     = 1000 // finished tasks that are kept for reading; older ones are forgotten
)

var (
	errManyEndpointTasks = &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("This endpoint has %d replays that are not finished, which is the limit: "+
		"wait for them or cancel some.", maxEndpointTasks)}
	errManyTasks = &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("There are %d replays that are not finished, and the last %d places of %d are for "+
		"applications that have none: wait for them or cancel some.", maxOpenTasks-reservedTasks, reservedTasks, maxOpenTasks)}
	errTaskOver = &webhook.Error{Code: webhook.CodeConflict, Detail: "This task is over: what it did stays, but it can't be changed any more. Start another."}
	errLateStep = &webhook.Error{Code: webhook.CodeConflict, Detail: "the task is not at the position where this step begins, or another leader moves it"}
)

// taskTable changes the tasks for an entry.
type taskTable struct{ *entry }

// create begins a replay. The reply is the task.
func (e taskTable) create(c *createTask) ([]byte, error) {
	t := &c.Task
	endpoint := e.store.catalog.endpoints[t.Endpoint]
	if endpoint == nil || endpoint.App != t.App {
		return nil, errNoEndpoint
	}
	for _, name := range t.EventTypes { // an archived one will do: messages of the past may have it
		if found := e.store.catalog.eventTypes[name]; found == nil || !c.Viewer.canSee(found) {
			return nil, UnknownEventType(name)
		}
	}
	if err := e.checkRoom(t, c.Max); err != nil {
		return nil, err
	}
	var err error
	if t.ID, err = e.id(); err != nil {
		return nil, err
	}
	t.CreatedAt, t.UpdatedAt = t.ID.Time(), t.ID.Time()
	if t.Until.IsZero() || t.Until.After(t.CreatedAt) {
		t.Until = t.CreatedAt // later messages are sent anyway
	}
	t.Status, t.Position = webhook.TaskRunning, t.Begin()
	t.Looked, t.Taken, t.Delivered, t.Failed = 0, 0, 0, 0
	e.put(*t)
	e.tasks = append(e.tasks, t)
	e.changes.Tasks = true
	e.changed(webhook.StateChange{Change: webhook.TaskStarted, App: t.App, Endpoint: t.Endpoint, Task: t.ID})
	e.source = replySource{key: idKey(keyTask, t.ID)}
	return encodeJSON(t)
}

// checkRoom limits the unfinished replays, so that no application can use all of maxOpenTasks.
// The application may have limit of them.
func (e taskTable) checkRoom(t *webhook.Task, limit int) error {
	open, ofApp, ofEndpoint := 0, 0, 0
	for _, other := range e.store.catalog.tasks {
		if other.Status.IsOver() { // for good, so most need not be looked for among the changed ones
			continue
		}
		if other = e.find(other.ID); other.Status.IsOver() {
			continue
		}
		open++
		if other.App == t.App {
			ofApp++
		}
		if other.Endpoint == t.Endpoint {
			ofEndpoint++
		}
	}
	switch {
	case ofEndpoint >= maxEndpointTasks:
		return errManyEndpointTasks
	case ofApp >= maxAppTasks || limit > 0 && ofApp >= limit:
		return &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("This application has %d replays that are not finished, which is the limit: wait for them "+
			"or cancel some, or raise limits.replays in the configuration, to at most %d.", cmp.Or(min(limit, maxAppTasks), maxAppTasks), maxAppTasks)}
	case open >= maxOpenTasks, ofApp > 0 && open >= maxOpenTasks-reservedTasks:
		return errManyTasks
	}
	return nil
}

// step moves a task forward in its log and asks for the messages that it chose. They follow the
// retry schedule if they fail, because a replay is meant to deliver them.
func (e taskTable) step(term uint64, step *webhook.TaskStep) error {
	t := e.find(step.Task)
	switch {
	case t == nil:
		return errNoTask
	case term != e.batch.meta.term, t.Status != webhook.TaskRunning, t.Position != step.From, step.From.After(step.To), step.To.After(t.End()),
		step.Looked < len(step.Messages), int64(len(step.Messages)) > t.Room():
		return errLateStep
	}
	t = e.edit(t)
	t.Position = step.To
	t.Looked += int64(step.Looked)
	for _, id := range step.Messages {
		m, err := e.log.message(t.App, id)
		if err != nil {
			return err
		}
		if m == nil || m.Expunged { // it was removed after the step was planned
			continue
		}
		asked, err := manualSet(e).ask(t.Endpoint, id, t.ID, true)
		if err != nil {
			return err
		}
		if asked {
			t.Taken++
		}
	}
	recorder(e).putCursor(t.Endpoint, e.store.catalog.cursors[t.Endpoint])
	return nil
}

// change pauses, resumes or cancels a task. The reply is the task.
func (e taskTable) change(c *changeTask) ([]byte, error) {
	e.source = replySource{key: idKey(keyTask, c.Task)}
	t := e.find(c.Task)
	switch {
	case t == nil:
		return nil, errNoTask
	case t.Status == c.Status:
		return encodeJSON(t)
	case t.Status.IsOver():
		return nil, errTaskOver
	}
	switch c.Status {
	case webhook.TaskRunning:
		t = e.edit(t)
		e.changes.AddManual(t.Endpoint) // its lines may be sent again
	case webhook.TaskPaused:
		t = e.edit(t)
	case webhook.TaskCanceled:
		t = e.edit(t)
		if err := e.dropLines(t); err != nil {
			return nil, err
		}
	default:
		return nil, webhook.Invalid("status", "must be running, paused or canceled")
	}
	t.Status, t.UpdatedAt = c.Status, e.now()
	e.changes.Tasks = true
	if e.actors == nil {
		e.actors = make(map[webhook.ID]webhook.Actor)
	}
	e.actors[t.ID] = e.actor
	return encodeJSON(t)
}

// dropLines removes up to MaxTaskLines lines of a task from the manual set that were not sent yet.
func (e taskTable) dropLines(t *webhook.Task) error {
	if t.Waiting() == 0 {
		return nil
	}
	var keys [][]byte
	prefix := idKey(keyManual, t.Endpoint)
	err := e.store.pending.seek(prefix, prefix, func(key, value []byte) error {
		line, err := decodeManual(key, value)
		if err != nil {
			return err
		}
		if line.Task == t.ID {
			keys = append(keys, bytes.Clone(key))
		}
		if int64(len(keys)) == t.Waiting() {
			return errStop
		}
		return nil
	})
	if err != nil {
		return err
	}
	c := e.store.catalog.cursors[t.Endpoint]
	e.store.mu.Lock()
	c.counts.manual -= uint64(len(keys))
	e.store.mu.Unlock()
	for _, key := range keys {
		e.batch.delete(key)
	}
	t.Taken -= int64(len(keys))
	recorder(e).putCursor(t.Endpoint, c)
	return nil
}

// failDeleted ends the tasks of deleted endpoints. Their manual sets are emptied with the
// endpoints.
func (e taskTable) failDeleted() {
	for _, t := range e.store.catalog.tasks {
		if t.Status.IsOver() {
			continue
		}
		if t = e.find(t.ID); !t.Status.IsOver() && e.store.catalog.endpoints[t.Endpoint] == nil {
			t = e.edit(t)
			t.Status, t.Taken = webhook.TaskFailed, t.Taken-t.Waiting()
			e.changes.Tasks = true
		}
	}
}

// countAttempt adds the outcome of a message that a task chose to the task's counts.
func (e taskTable) countAttempt(task webhook.ID, status webhook.Status) {
	t := e.find(task)
	if t == nil || t.Status.IsOver() {
		return
	}
	t = e.edit(t)
	if status == webhook.StatusSuccess {
		t.Delivered++
	} else {
		t.Failed++
	}
}

// find returns a task with the changes of this entry so far, or nil. The caller changes it only
// after edit.
func (e taskTable) find(id webhook.ID) *webhook.Task {
	for _, t := range e.tasks {
		if t.ID == id {
			return t
		}
	}
	return e.store.catalog.task(id)
}

// edit returns a copy of a task that this entry may change.
func (e taskTable) edit(t *webhook.Task) *webhook.Task {
	if slices.Contains(e.tasks, t) {
		return t
	}
	changed := *t
	e.tasks = append(e.tasks, &changed)
	return &changed
}

// keep writes the tasks that the entry has changed. A task is finished when it has read the
// whole range and all its messages were attempted.
func (e taskTable) keep() error {
	ended := false
	for _, t := range e.tasks {
		if t.Status == webhook.TaskRunning && t.Waiting() == 0 && !t.End().After(t.Position) {
			t.Status = webhook.TaskFinished
		}
		ended = ended || t.Status.IsOver()
		t.UpdatedAt = e.now()
		record, err := encodeJSON(t)
		if err != nil {
			return err
		}
		e.batch.set(idKey(keyTask, t.ID), record)
		if e.store.catalog.task(t.ID).Status != t.Status {
			e.actor = e.actors[t.ID]
			e.changed(webhook.StateChange{Change: webhook.Change("task." + t.Status), App: t.App, Endpoint: t.Endpoint, Task: t.ID})
			e.actor = webhook.Actor{}
		}
		e.put(*t)
	}
	if ended {
		e.forget()
	}
	return nil
}

// forget removes finished tasks when there are too many: the oldest of the application that
// has the most.
func (e taskTable) forget() {
	over, total := make(map[webhook.ID]int), 0
	for _, t := range e.store.catalog.tasks {
		if t.Status.IsOver() {
			over[t.App]++
			total++
		}
	}
	kept := slices.Clone(e.store.catalog.tasks) // readers may hold the old slice
	for ; total > maxTasksOver; total-- {
		i := -1
		for j, t := range kept { // oldest first
			if t.Status.IsOver() && (i < 0 || over[t.App] > over[kept[i].App]) {
				i = j
			}
		}
		over[kept[i].App]--
		e.batch.delete(idKey(keyTask, kept[i].ID))
		kept = slices.Delete(kept, i, i+1)
	}
	e.store.mu.Lock()
	e.store.catalog.tasks = kept
	e.store.mu.Unlock()
}

// put shows a task to readers. They get a copy of their own, because they keep it.
func (e taskTable) put(t webhook.Task) {
	e.store.mu.Lock()
	e.store.catalog.putTask(&t)
	e.store.mu.Unlock()
}
