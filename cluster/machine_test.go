package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// machine is a state machine in memory: it keeps the bodies of all commands, in order, and answers
// each with its number. It forgets what was not committed when it is reopened, as a crash would.
type machine struct {
	free  atomic.Int64 // bytes; it wants 100
	taken func()       // called when a snapshot is taken over; may be nil
	full  atomic.Bool  // there is no room for a snapshot
	tried atomic.Int64 // how often there was none

	mu       sync.Mutex
	image    image
	durable  []byte // the image at the last Commit; nil: none
	entries  int    // with commands, applied since it was opened
	restored int    // snapshots taken over
	refuse   string // a body that Admit refuses
	fail     string // a body that Apply fails on
}

// image is the state of a machine.
type image struct {
	Index, Term uint64
	ConfIndex   uint64
	Conf        []byte
	Bodies      []string
	Replies     map[string]string // by request
}

func newMachine() *machine {
	m := &machine{image: image{Replies: make(map[string]string)}}
	m.free.Store(1000)
	return m
}

// reopen is the machine after a crash.
func (m *machine) reopen() *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	opened := newMachine()
	opened.load(m.durable)
	opened.durable = m.durable
	return opened
}

func (m *machine) load(data []byte) {
	if data == nil {
		return
	}
	m.image = image{Replies: make(map[string]string)}
	if err := json.Unmarshal(data, &m.image); err != nil {
		panic(err)
	}
}

func (m *machine) save() []byte {
	data, err := json.Marshal(&m.image)
	if err != nil {
		panic(err)
	}
	return data
}

func (m *machine) Apply(index, term uint64, _ int64, commands []Command) ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index <= m.image.Index {
		return nil, nil
	}
	m.image.Index, m.image.Term = index, term
	if len(commands) > 0 {
		m.entries++
	}
	replies := make([][]byte, len(commands))
	for i, c := range commands {
		if m.fail != "" && string(c.Body) == m.fail {
			return nil, fmt.Errorf("told to fail on %s", c.Body)
		}
		replies[i] = m.run(c)
	}
	return replies, nil
}

func (m *machine) run(c Command) []byte {
	name := string(fmt.Appendf(nil, "%x", c.Request))
	if reply, found := m.image.Replies[name]; found && c.Since > 0 {
		return []byte(reply)
	}
	m.image.Bodies = append(m.image.Bodies, string(c.Body))
	m.image.Replies[name] = replyTo(c.Body, len(m.image.Bodies))
	return []byte(m.image.Replies[name])
}

func replyTo(body []byte, number int) string { return fmt.Sprintf("%s is number %d", body, number) }

func (m *machine) Configure(index, term uint64, configuration []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index > m.image.Index {
		m.image.Index, m.image.Term = index, term
		m.image.ConfIndex, m.image.Conf = index, slices.Clone(configuration)
	}
	return nil
}

func (m *machine) Commit() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = m.save()
	return nil
}

func (m *machine) Applied() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.image.Index
}

func (m *machine) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := newMachine()
	kept.load(m.durable)
	return State{Index: kept.image.Index, Term: kept.image.Term,
		ConfigurationIndex: kept.image.ConfIndex, Configuration: kept.image.Conf}
}

func (m *machine) OpenSnapshot() (State, int64, io.ReadCloser, error) {
	if err := m.Commit(); err != nil {
		return State{}, 0, nil, err
	}
	m.mu.Lock()
	data := m.durable
	m.mu.Unlock()
	return m.State(), int64(len(data)), io.NopCloser(bytes.NewReader(data)), nil
}

func (m *machine) RestoreSnapshot(content io.Reader) error {
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if m.full.Load() {
		m.tried.Add(1)
		return errors.New("the disk is too small")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.load(data)
	m.durable = data
	m.restored++
	if m.taken != nil {
		m.taken()
	}
	return nil
}

func (m *machine) Free() (free, least int64)             { return m.free.Load(), 100 }
func (m *machine) Fingerprint() (uint64, string, uint64) { return 0, "", 0 }

func (m *machine) Flow([]byte) string { return "" }

func (m *machine) Ready(int) {}

func (m *machine) IsPatient([]byte) bool { return false }

func (m *machine) Cost(command []byte) int { return len(command) }

func (m *machine) Admit(command []byte, full []string, repetition bool) []byte {
	if repetition {
		return nil
	}
	if len(full) > 0 {
		return fmt.Append(nil, "full: ", full)
	}
	if m.refuse != "" && string(command) == m.refuse {
		return []byte("refused")
	}
	return nil
}

func (m *machine) bodies() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.image.Bodies)
}
