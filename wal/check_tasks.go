package wal

import (
	"slices"

	"hookwheel/webhook"
)

// taskCheck checks tasks, and counts their lines in manual sets.
type taskCheck struct {
	*checkedCatalog
	tasks map[webhook.ID]*webhook.Task
	lines map[webhook.ID]int64 // by the task that asked for them
	over  int
}

func newTaskCheck(catalog *checkedCatalog) taskCheck {
	return taskCheck{checkedCatalog: catalog, tasks: make(map[webhook.ID]*webhook.Task), lines: make(map[webhook.ID]int64)}
}

// checkTask checks one task. Its lines in a manual set are checked later.
func (c *taskCheck) checkTask(key, value []byte) {
	id := webhook.ID(key[1:])
	what := taskName(id)
	t := new(webhook.Task)
	if err := decodeJSON(value, t); err != nil {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	c.checkID(id, what)
	c.tasks[id] = t
	if t.Status.IsOver() {
		c.over++
	}
	switch e := c.endpoints[t.Endpoint]; {
	case t.ID != id:
		c.violated("%s has the id of %s", what, taskName(t.ID))
	case !slices.Contains([]webhook.TaskStatus{webhook.TaskRunning, webhook.TaskPaused, webhook.TaskFinished, webhook.TaskCanceled, webhook.TaskFailed}, t.Status):
		c.violated("%s has the unknown status %q", what, t.Status)
	case !t.Status.IsOver() && (e == nil || e.App != t.App):
		c.violated("%s is not finished, but its %s does not exist", what, endpointName(t.Endpoint))
	case t.Status == webhook.TaskFinished && t.End().After(t.Position):
		c.violated("%s is finished but has not read its whole range", what)
	case t.Delivered < 0 || t.Failed < 0 || t.Taken > t.Looked || t.Waiting() < 0:
		c.violated("%s has impossible counts: %d messages read, %d chosen, %d delivered, %d failed",
			what, t.Looked, t.Taken, t.Delivered, t.Failed)
	}
}

// checkLine checks whether the task named by a line of a manual set can have asked for it.
func (c *taskCheck) checkLine(what string, task webhook.ID) {
	t := c.tasks[task]
	if t == nil || t.Status.IsOver() {
		c.violated("%s belongs to %s, which is finished or does not exist", what, taskName(task))
	}
	c.lines[task]++
}

// checkTasks compares the counts of tasks with the records.
func (c *taskCheck) checkTasks() {
	for id, t := range c.tasks {
		if !t.Status.IsOver() && t.Waiting() != c.lines[id] {
			c.violated("%s counts %d waiting messages, but there are %d", taskName(id), t.Waiting(), c.lines[id])
		}
	}
	if c.over > maxTasksOver {
		c.violated("%d finished tasks are kept, but the limit is %d", c.over, maxTasksOver)
	}
}

func taskName(id webhook.ID) string { return "task " + id.Text(webhook.KindTask) }
