package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Sabotages whose scenarios don't touch each other's promises share a build, which saves the time
// to make it.
const (
	someSabotages      = "sabotage_order,sabotage_planned,sabotage_wrapped,sabotage_linger,sabotage_silent"
	sabotagesWithClock = "sabotage_clock,sabotage_library"
)

// sabotages are builds that break a promise on purpose, each with what must find that: a scenario,
// or faults of a kind under load. Some scenarios must find it before the clocks are moved, so that
// the build is made sooner.
var sabotages = map[string]struct {
	tag, scenario, kind string
	clocks              bool
}{
	"acknowledged before it is on any disk":        {tag: "sabotage_early", kind: "kill all"},
	"no fsync":                                     {tag: "sabotage_nosync", kind: "power loss of all"},
	"held messages are free when a leader begins":  {tag: someSabotages, scenario: "held"},
	"a line without attempts is not noted":         {tag: someSabotages, scenario: "overtaken"},
	"the watermark does not look inside commands":  {tag: someSabotages, scenario: "short"},
	"the kernel sends on after a time-out":         {tag: someSabotages, scenario: "late"},
	"what waits leaves the log by size, uncounted": {tag: "sabotage_waiting", scenario: "accounted"},
	"the leader's clock says what time it is":      {tag: sabotagesWithClock, scenario: "clock", clocks: true},
	"a disk error that is logged ends no node":     {tag: sabotagesWithClock, scenario: "library", clocks: true},
	"a connection that is silent is kept":          {tag: someSabotages, kind: "silent connections"},
}

// TestSabotage wants each of them found.
func TestSabotage(t *testing.T) {
	for name, test := range sabotages {
		t.Run(name, func(t *testing.T) {
			if test.scenario != "" {
				t.Parallel() // the others need the machine: with few posts little is lost in a fault
			}
			found := []string(nil)
			if test.scenario != "" {
				s := scenarios[test.scenario]()
				s.setup.tags, s.setup.clocks = test.tag, test.clocks
				tr := newTrial(t, s.setup)
				var err error
				if found, err = s.run(tr); err != nil {
					t.Log(err) // what was broken may keep the story from its end
				}
			} else {
				found = findUnderLoad(t, test.tag, test.kind)
			}
			if len(found) == 0 {
				t.Fatal("nothing was found")
			}
			t.Logf("%d things were found, such as: %s", len(found), found[0])
		})
	}
}

// findUnderLoad does faults of a kind until something is found.
func findUnderLoad(t *testing.T, tag, kind string) (found []string) {
	if harms[kind].needs == disks && !canMount() {
		t.Skip("needs root, mkfs.ext4 and loop devices")
	}
	tr := newTrial(t, setup{tags: tag, disks: harms[kind].needs == disks})
	tr.produce(t, false)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	for len(found) == 0 && len(tr.history.faults) < sabotageFaults {
		time.Sleep(2 * time.Second)
		n.queue = []string{kind}
		tr.cluster.patience = 40 * time.Second
		if _, err := n.strike(); err != nil {
			found = append(found, err.Error())
		}
		found = append(found, tr.forgotten()...)
	}
	t.Logf("after %d faults", len(tr.history.faults))
	return found
}

// forgotten finds acknowledged events that no node knows of: among those that are yet to be
// delivered, and among the newest, which nothing has made leave the log so soon.
func (tr *trial) forgotten() (found []string) {
	told := tr.history.acknowledged()
	events := slices.Sorted(maps.Keys(told))
	events = events[max(0, len(events)-newestEvents):]
	for _, event := range slices.Compact(slices.Sorted(slices.Values(append(events, tr.history.pending(tr.receiver.endpoints)...)))) {
		if tr.gone(event, told[event]) {
			found = append(found, fmt.Sprintf("LOST: event %d was acknowledged as %s, which is not in the log", event, told[event]))
		}
	}
	return found
}

const (
	newestEvents   = 100 // for how many of them the nodes are asked after each fault
	sabotageFaults = 20  // at most; on a busy machine few of them hit an event in the milliseconds that matter
)
