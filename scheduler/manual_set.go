package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

// maxManual is how many lines of a manual set are read at a time.
const maxManual = 256

// manualSet is the part of a lane's manual set that stands in memory: what a person or a task wants sent now.
type manualSet struct {
	lines    []webhook.Manual
	more     bool                    // there may be lines that were not read
	tasks    bool                    // there may be such of tasks, because only what persons want was read
	out      map[webhook.ID]struct{} // handed out, and not recorded before the set was read last
	recorded []webhook.ID            // of them, those that were recorded while the set was being read
	passed   map[webhook.ID]struct{} // of them, those that stood in the set when it was read last
	replayed webhook.ID              // the message of a task that the others wait for, because the endpoint keeps an order; zero: none
}

// next is which line comes next, of those that persons want if tasks are to wait; -1: none.
func (m *manualSet) next(tasks bool) int {
	tasks = tasks && m.replayed.IsZero()
	return slices.IndexFunc(m.lines, func(line webhook.Manual) bool { return tasks || line.Task.IsZero() })
}

// wantsLines tells whether none may go, but there may be others that must be read.
func (m *manualSet) wantsLines(tasks bool) bool {
	return (m.more || m.tasks && tasks && m.replayed.IsZero()) && m.next(tasks) < 0
}

func (m *manualSet) wants() bool { return m.next(true) >= 0 || m.wantsLines(true) }

// urgent tells whether a person waits, or whether that is not known; tasks can wait.
func (m *manualSet) urgent() bool { return m.next(false) >= 0 || m.wantsLines(false) }

// receive takes the first lines of the set, at most that many; tasks, whether those of tasks are among them. So may be those that were
// handed out.
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
	for _, id := range m.recorded {
		m.settle(id, false)
	}
	m.recorded = nil
}

// take hands out a line.
func (m *manualSet) take(i int) webhook.Manual {
	line := m.lines[i]
	m.lines = slices.Delete(m.lines, i, i+1)
	mark(&m.out, line.Message)
	return line
}

// giveBack is for a line that could not be handed out: it is read again.
func (m *manualSet) giveBack(message webhook.ID) {
	delete(m.out, message)
	m.more = true
}

// settle says that what became of a line is recorded; reading, that the set is being read, perhaps as it was before. A line that was
// passed over may be another by now, if it was asked for again.
func (m *manualSet) settle(message webhook.ID, reading bool) {
	if reading {
		m.recorded = append(m.recorded, message)
		return
	}
	unmark(&m.out, message)
	if _, passed := m.passed[message]; passed {
		m.more = true
	}
}
