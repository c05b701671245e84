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
const someSabotages = "sabotage_order,sabotage_planned,sabotage_wrapped,sabotage_linger,sabotage_silent,sabotage_clock,sabotage_library"

// sabotages are builds that break a promise on purpose, each with what must find that: a scenario,
// or faults of a kind under load. Clocks can jump in the build that is shared only: what else is
// broken must be found without that, so that its build is made sooner.
var sabotages = map[string]struct{ tags, scenario, kind string }{
	"acknowledged before it is on any disk":        {tags: "sabotage_early", kind: "kill all"},
	"no fsync":                                     {tags: "sabotage_nosync", kind: "power loss of all"},
	"held messages are free when a leader begins":  {tags: someSabotages, scenario: "held"},
	"a line without attempts is not noted":         {tags: someSabotages, scenario: "overtaken"},
	"the watermark does not look inside commands":  {tags: someSabotages, scenario: "short"},
	"the kernel sends on after a time-out":         {tags: someSabotages, scenario: "late"},
	"what waits leaves the log by size, uncounted": {tags: "sabotage_waiting", scenario: "accounted"},
	"the leader's clock says what time it is":      {tags: someSabotages, scenario: "clock"},
	"a disk error that is logged ends no node":     {tags: someSabotages, scenario: "library"},
	"a connection that is silent is kept":          {tags: someSabotages, kind: "silent connections"},
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
				s.setup.tags, s.setup.clocks = test.tags, test.tags == someSabotages
				tr := newTrial(t, s.setup)
				var err error
				if found, err = s.run(tr); err != nil {
					t.Log(err) // what was broken may keep the story from its end
				}
			} else {
				found = findUnderLoad(t, setup{tags: test.tags, clocks: test.tags == someSabotages}, test.kind)
			}
			if len(found) == 0 {
				t.Fatal("nothing was found")
			}
			t.Logf("%d things were found, such as: %s", len(found), found[0])
		})
	}
}

// findUnderLoad does faults of a kind until something is found.
func findUnderLoad(t *testing.T, s setup, kind string) (found []string) {
	s.disks = harms[kind].needs == disks
	if s.disks && !canMount() {
		t.Skip("needs root, mkfs.ext4 and loop devices")
	}
	tr := newTrial(t, s)
	tr.produce(t, false)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	for len(found) == 0 && len(tr.history.faults) < sabotageFaults {
		n.queue = []string{kind}
		tr.cluster.patience = sabotagePatience
		err := tr.history.awaitMore(sabotagePatience)
		if err == nil {
			_, err = n.strike()
		}
		if err != nil {
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
	sabotagePatience = 40 * time.Second

	newestEvents   = 100 // for how many of them the nodes are asked after each fault
	sabotageFaults = 20  // at most; on a busy machine few of them hit an event in the milliseconds that matter
)
