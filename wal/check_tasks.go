package wal

import (
	"bytes"
	"fmt"
	"slices"

	"hookwheel/webhook"
)

// checkTask checks one task. Its lines in a manual set are checked later.
func (c *checker) checkTask(key, value []byte) {
	id := webhook.ID(key[1:])
	what := taskName(id)
	t := new(webhook.Task)
	if err := decodeJSON(value, t); err != nil {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	c.checkID(id, what)
	c.tasks[id] = t
	if t.Status.Over() {
		c.tasksOver++
	}
	switch e := c.endpoints[t.Endpoint]; {
	case t.ID != id:
		c.violated("%s says that it is %s", what, taskName(t.ID))
	case !slices.Contains([]webhook.TaskStatus{webhook.TaskRunning, webhook.TaskPaused, webhook.TaskFinished, webhook.TaskCanceled, webhook.TaskFailed}, t.Status):
		c.violated("%s is %q, which no task is", what, t.Status)
	case !t.Status.Over() && (e == nil || e.App != t.App):
		c.violated("%s is not over, but its %s is not there", what, endpointName(t.Endpoint))
	case t.Status == webhook.TaskFinished && t.End().After(t.Position):
		c.violated("%s is finished, but has not looked at all of its range", what)
	case t.Delivered < 0 || t.Failed < 0 || t.Taken > t.Looked || t.Waiting() < 0:
		c.violated("%s has looked at %d messages and taken %d, of which %d were delivered and %d not, which can't be",
			what, t.Looked, t.Taken, t.Delivered, t.Failed)
	}
}

// checkTaskLine checks whether the task named by a line of a manual set can have asked for it.
func (c *checker) checkTaskLine(what string, task webhook.ID) {
	t := c.tasks[task]
	if t == nil || t.Status.Over() {
		c.violated("%s is of %s, which is over or not there", what, taskName(task))
	}
	c.taskLines[task]++
}

// checkTasks compares the counts of tasks with the records.
func (c *checker) checkTasks() {
	for id, t := range c.tasks {
		if !t.Status.Over() && t.Waiting() != c.taskLines[id] {
			c.violated("%s counts %d messages that wait, but there are %d", taskName(id), t.Waiting(), c.taskLines[id])
		}
	}
	if c.tasksOver > maxTasksOver {
		c.violated("%d tasks are over and kept, of which there may be %d", c.tasksOver, maxTasksOver)
	}
}

func taskName(id webhook.ID) string { return "task " + id.Text(webhook.KindTask) }

// checkChanges checks the state changes of one entry.
func (c *checker) checkChanges(key, value []byte) {
	what := fmt.Sprintf("a change of state that entry %d made", entryOf(key).Index())
	list, err := decodeChanges(value)
	if err != nil || len(list) == 0 {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	for i := range list {
		change := &list[i]
		if !c.checkID(change.ID, what) {
			continue
		}
		if !bytes.Equal(changeKey(change.ID), key) || i > 0 && !change.ID.After(list[i-1].ID) {
			c.violated("%s does not stand where its id says", what)
		}
	}
}
