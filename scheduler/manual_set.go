package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

// maxManual is the number of lines of a manual set that are read in one call, or fewer where there
// are many lanes.
const maxManual = 256

// manualSet is the part of a lane's manual set that is in memory: messages that a user or a task
// wants sent now.
type manualSet struct {
	lines    []webhook.Manual
	out      map[webhook.ID]struct{} // handed out, and not recorded before the set was last read
	passed   map[webhook.ID]struct{} // those in out that were in the set when it was last read
	reading  *readingManual          // the store is being read, and may return what was before; nil: it is not
	replayed webhook.ID              // the task's message that its others wait for, because the endpoint is ordered; zero: none
	more     bool                    // there may be lines that have not been read
	tasks    bool                    // there may be lines of tasks, because only those of users were read
}

// readingManual is what has happened to a manual set since the store was asked.
type readingManual struct {
	recorded []webhook.ID // of those that were handed out
}

// beginReading notes that the store is being read. What comes meanwhile sets more again.
func (m *manualSet) beginReading() { m.more, m.reading = false, new(readingManual) }

// failReading notes that the store could not be read.
func (m *manualSet) failReading() {
	m.more = true
	m.endReading()
}

// endReading settles what was recorded meanwhile.
func (m *manualSet) endReading() {
	recorded := m.reading.recorded
	m.reading = nil
	for _, id := range recorded {
		m.settle(id)
	}
}

// next returns the index of the next line, or -1. It leaves out the lines of tasks unless tasks is
// set.
func (m *manualSet) next(tasks bool) int {
	tasks = tasks && m.replayed.IsZero()
	return slices.IndexFunc(m.lines, func(line webhook.Manual) bool { return tasks || line.Task.IsZero() })
}

// wantsLines reports whether no line in memory may be sent, but there may be others to read.
func (m *manualSet) wantsLines(tasks bool) bool {
	return (m.more || m.tasks && tasks && m.replayed.IsZero()) && m.next(tasks) < 0
}

func (m *manualSet) wants() bool { return m.next(true) >= 0 || m.wantsLines(true) }

// isUrgent reports whether a user's line is waiting, or may be; lines of tasks can wait.
func (m *manualSet) isUrgent() bool { return m.next(false) >= 0 || m.wantsLines(false) }

// receive takes the first lines of the set, up to limit of them. tasks reports whether those of
// tasks are included. Lines that were handed out may be among them.
func (m *manualSet) receive(lines []webhook.Manual, tasks bool, limit int) {
	m.lines, m.passed, m.tasks = nil, nil, !tasks
	for _, line := range lines {
		if _, out := m.out[line.Message]; out {
			mark(&m.passed, line.Message)
		} else {
			m.lines = append(m.lines, line)
		}
	}
	m.more = m.more || len(lines) >= limit
	m.endReading()
}

// take hands out a line.
func (m *manualSet) take(i int) webhook.Manual {
	line := m.lines[i]
	m.lines = without(m.lines, i)
	mark(&m.out, line.Message)
	return line
}

// giveBack returns a line that could not be sent. It will be read again.
func (m *manualSet) giveBack(message webhook.ID) {
	delete(m.out, message)
	m.more = true
}

// settle notes that the outcome of a line is recorded. A line that receive passed over may be a new
// one by now, if the message was requested again.
func (m *manualSet) settle(message webhook.ID) {
	if m.reading != nil {
		m.reading.recorded = append(m.reading.recorded, message)
		return
	}
	unmark(&m.out, message)
	if _, passed := m.passed[message]; passed {
		m.more = true
	}
}
