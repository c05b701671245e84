package scheduler

import "hookwheel/webhook"

// maxManual is how many lines of a manual set are read at a time.
const maxManual = 256

// manualSet is the part of a lane's manual set that stands in memory: what a person or a task wants sent now.
type manualSet struct {
	lines    []webhook.Manual
	more     bool                    // there may be lines that were not read
	out      map[webhook.ID]struct{} // handed out, and not recorded before the set was read last
	recorded []webhook.ID            // of them, those that were recorded while the set was being read
	passed   map[webhook.ID]struct{} // of them, those that stood in the set when it was read last
}

func newManualSet() manualSet { return manualSet{more: true, out: make(map[webhook.ID]struct{})} }

func (m *manualSet) wants() bool { return len(m.lines) > 0 || m.more }

// urgent tells whether a person waits for the next line, or whether that is not known; tasks can wait.
func (m *manualSet) urgent() bool {
	if len(m.lines) == 0 {
		return m.more
	}
	return m.lines[0].Task.IsZero()
}

// receive takes the first lines of the set, at most that many. Those that were handed out may be among them still.
func (m *manualSet) receive(lines []webhook.Manual, most int) {
	m.lines, m.passed = m.lines[:0], make(map[webhook.ID]struct{})
	for _, line := range lines {
		if _, out := m.out[line.Message]; out {
			m.passed[line.Message] = struct{}{}
		} else {
			m.lines = append(m.lines, line)
		}
	}
	m.more = m.more || len(lines) >= most
	for _, id := range m.recorded {
		m.settle(id, false)
	}
	m.recorded = m.recorded[:0]
}

// take hands out the next line.
func (m *manualSet) take() webhook.Manual {
	line := m.lines[0]
	m.lines = m.lines[1:]
	m.out[line.Message] = struct{}{}
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
	delete(m.out, message)
	if _, passed := m.passed[message]; passed {
		m.more = true
	}
}
