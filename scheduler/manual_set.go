package scheduler

import "hookwheel/webhook"

// maxManual is how many lines of a manual set are read at a time.
const maxManual = 256

// manualSet is the part of a lane's manual set that stands in memory: what a person or a task wants sent now.
type manualSet struct {
	lines []webhook.Manual
	more  bool // there may be lines that were not read
}

func (m *manualSet) wants() bool { return len(m.lines) > 0 || m.more }

// receive takes the first lines of the set, at most that many; those under way are among them still.
func (m *manualSet) receive(lines []webhook.Manual, most int, flying map[flight]flying) {
	m.lines = m.lines[:0]
	for _, line := range lines {
		if _, underWay := flying[flight{webhook.SourceManual, line.Message}]; !underWay {
			m.lines = append(m.lines, line)
		}
	}
	m.more = len(lines) >= most
}

// take hands out the next line.
func (m *manualSet) take() webhook.Manual {
	line := m.lines[0]
	m.lines = m.lines[1:]
	return line
}
