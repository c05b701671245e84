package wal

import (
	"slices"

	"hookwheel/webhook"
)

// maxStepBytes is how many bytes of the log one step of a task reads, or one entry more.
const maxStepBytes = 1 << 20

// Other limits of one step.
const (
	maxStepLook     = 1024     // messages of the log
	maxStepAttempts = 1024     // that are read, or those of one message more
	maxStepLines    = 16 << 10 // of the index of attempts, at all endpoints, likewise
)

func (n *catalog) loadTasks(v view) error {
	return v.scan([]byte{keyTask}, func(_, value []byte) error {
		t := new(webhook.Task)
		n.tasks = append(n.tasks, t)
		return decodeJSON(value, t)
	})
}

func compareTask(t *webhook.Task, id webhook.ID) int { return t.ID.Compare(id) }

// task returns the task with this ID, or nil.
func (n *catalog) task(id webhook.ID) *webhook.Task {
	if i, found := slices.BinarySearchFunc(n.tasks, id, compareTask); found {
		return n.tasks[i]
	}
	return nil
}

func (n *catalog) putTask(t *webhook.Task) {
	i, found := slices.BinarySearchFunc(n.tasks, t.ID, compareTask)
	n.tasks = slices.Clone(n.tasks) // readers may hold the old slice
	if found {
		n.tasks[i] = t
	} else {
		n.tasks = slices.Insert(n.tasks, i, t)
	}
}

// TaskFilter narrows a list of tasks. The zero value matches all of them.
type TaskFilter struct {
	Kind     webhook.TaskKind
	Statuses []webhook.TaskStatus // any of them
	App      webhook.ID
	Endpoint webhook.ID
}

func (f TaskFilter) wants(t **webhook.Task) bool {
	return (f.Kind == "" || (*t).Kind == f.Kind) && (len(f.Statuses) == 0 || slices.Contains(f.Statuses, (*t).Status)) &&
		(f.App.IsZero() || (*t).App == f.App) && (f.Endpoint.IsZero() || (*t).Endpoint == f.Endpoint)
}

// Tasks returns a page of the tasks that are kept, and reports whether there are more in the
// page's direction.
func (m *memory) Tasks(page Page, filter TaskFilter) (list []*webhook.Task, more bool) {
	m.mu.RLock()
	all := m.catalog.tasks
	m.mu.RUnlock()
	list, _ = collect(page, nil, all, func(t **webhook.Task) webhook.ID { return (*t).ID }, filter.wants)
	return cut(page, list)
}

// Task returns the task with this ID. If it is unknown, the error is a *webhook.Error.
func (m *memory) Task(id webhook.ID) (*webhook.Task, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if t := m.catalog.task(id); t != nil {
		return t, nil
	}
	return nil, errNoTask
}

// RunningTasks returns the tasks for the leader to move forward, oldest first.
func (m *memory) RunningTasks() (list []*webhook.Task) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, t := range m.catalog.tasks {
		if t.Status == webhook.TaskRunning {
			list = append(list, t)
		}
	}
	return list
}

// NextStep reads what follows a task's position in the log, and chooses at most most messages:
// those that the endpoint wants at present and whose outcome the task is looking for. It leaves
// out messages that are still to be sent for the first time: they come anyway, perhaps in an
// order.
func (r *Reader) NextStep(t *webhook.Task, limit int) (step webhook.TaskStep, err error) {
	c := chooser{task: t}
	r.mu.RLock()
	c.endpoint = r.catalog.endpoints[t.Endpoint]
	if c.endpoint != nil {
		place := r.catalog.cursors[t.Endpoint]
		c.place = cursor{position: place.position, done: slices.Clone(place.done)}
	}
	r.mu.RUnlock()
	if c.endpoint == nil {
		return step, errNoEndpoint
	}
	step = webhook.TaskStep{Task: t.ID, From: t.Position, To: t.End()}
	last, size := t.Position, 0
	page := Page{From: t.Position, High: t.End(), Ascending: true}
	err = r.read(func(v dbView) error {
		c.history.view = v.view
		return v.page(page, idKey(keyLog, t.App), entrySize, func(key, value []byte) error {
			chunk, err := decodeMessages(key, value, t.App)
			if err != nil {
				return err
			}
			for i := range chunk {
				m := &chunk[i]
				switch {
				case page.isPast(m.ID):
					return errStop
				case !page.contains(m.ID):
					continue
				case len(step.Messages) >= limit || step.Looked >= maxStepLook || size > maxStepBytes || c.read >= maxStepAttempts || c.lines >= maxStepLines:
					step.To = last
					return errStop
				}
				last = m.ID
				step.Looked++
				takes, err := c.takes(v.view, m)
				if err != nil {
					return err
				}
				if takes {
					step.Messages = append(step.Messages, m.ID)
				}
			}
			size += len(value)
			return nil
		})
	})
	return step, err
}

// chooser chooses the messages of a task.
type chooser struct {
	task     *webhook.Task
	endpoint *webhook.Endpoint
	place    cursor
	history  historyReader
	read     int // attempts
	lines    int // of the index
}

func (c *chooser) takes(v view, m *webhook.Message) (bool, error) {
	if m.Expunged || !c.task.Wants(m) || !c.endpoint.Wants(m) || c.place.isFresh(m.ID) {
		return false, nil
	}
	held, planned, err := c.waits(v, m)
	if held || err != nil {
		return false, err
	}
	attempted, delivered, responded := false, false, c.task.CodeClass == nil
	err = v.eachAttempt(m.ID, webhook.ID{}, func(attempt, endpoint webhook.ID) error {
		c.lines++ // to the last one: of a message that is taken, Apply reads all
		if endpoint != c.endpoint.ID {
			return nil
		}
		attempted = true
		switch {
		case c.task.Which == webhook.ReplayNeverAttempted:
			return errStop
		case c.task.Which == webhook.ReplayAll && responded:
			return nil
		}
		c.read++
		a, err := c.history.attempt(c.endpoint.ID, attempt)
		if err != nil {
			return err
		}
		delivered = delivered || a.Status == webhook.StatusSuccess
		responded = responded || a.StatusCode/100*100 == *c.task.CodeClass
		return nil
	})
	if planned && !attempted { // its turn is yet to come
		return false, err
	}
	switch c.task.Which {
	case webhook.ReplayAll:
		return responded, err
	case webhook.ReplayDelivered:
		return delivered && responded, err
	case webhook.ReplayFailed:
		return attempted && !delivered && responded, err
	case webhook.ReplayNeverAttempted:
		return !attempted, err
	default:
		return false, err
	}
}

// waits reports whether a message is held behind another of its key, and whether it is planned
// without an attempt that counts.
func (c *chooser) waits(v view, m *webhook.Message) (held, planned bool, err error) {
	if m.OrderingKey != "" {
		if held, err = v.isHeld(c.endpoint.ID, m); held || err != nil {
			return held, false, err
		}
	}
	line, found, err := v.retry(c.endpoint.ID, m.ID)
	return false, found && line.Made == 0, err
}
