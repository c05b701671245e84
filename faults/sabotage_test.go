package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Sabotages whose scenarios don't touch each other's promises share a build, which saves the time
// to make it.
const someSabotages = "sabotage_order,sabotage_planned,sabotage_wrapped,sabotage_linger,sabotage_silent,sabotage_clock,sabotage_library"

// sabotages are builds that break a promise on purpose, each with what must find that: a scenario,
// or faults of a kind under load; and with words of the violation that must be found. Clocks can
// jump in the build that is shared only: what else is broken must be found without that, so that
// its build is made sooner.
var sabotages = map[string]struct{ tags, scenario, kind, want string }{
	"acknowledged before it is on any disk": {tags: "sabotage_early", kind: "kill all", want: lostWords},
	"no fsync": {tags: "sabotage_nosync", kind: "power loss of all",
		want: "it does not hold what was written"}, // said by a node that does not start
	"held messages are free when a leader begins":  {tags: someSabotages, scenario: "held", want: "the key saw"},
	"a line without attempts is not noted":         {tags: someSabotages, scenario: "overtaken", want: "a message under way has left the log"},
	"the watermark does not look inside commands":  {tags: someSabotages, scenario: "short", want: "got 202 although the store is full"},
	"the kernel sends on after a time-out":         {tags: someSabotages, scenario: "late", want: "arrived whole after its endpoint was deleted"},
	"what waits leaves the log by size, uncounted": {tags: "sabotage_waiting", scenario: "accounted", want: "has left the log before its time has come"},
	"the leader's clock says what time it is":      {tags: someSabotages, scenario: "clock", want: "after the one before, not after 10 s"},
	"a disk error that is logged ends no node":     {tags: someSabotages, scenario: "library", want: "goes on though its value log can't be synced"},
	"a connection that is silent is kept": {tags: someSabotages, kind: "silent connections",
		want: `is not well: 503 {"status":"no leader"`}, // the follower, which does not hear the leader
}

// TestSabotage wants each of them found, by the violation that it is about.
func TestSabotage(t *testing.T) {
	for name, test := range sabotages {
		t.Run(name, func(t *testing.T) {
			s := setup{tags: test.tags, clocks: test.tags == someSabotages}
			if test.kind != "" {
				findUnderLoad(t, s, test.kind, test.want)
				return
			}
			t.Parallel() // the others need the machine: with few posts little is lost in a fault
			scenario := scenarios[test.scenario]()
			scenario.setup.tags, scenario.setup.clocks = s.tags, s.clocks
			found, err := scenario.run(newTrial(t, scenario.setup))
			if err != nil {
				t.Log(err) // what was broken may keep the story from its end
			}
			if !names(found, test.want) {
				t.Errorf("none of what was found says %q: %q", test.want, found)
			}
		})
	}
}

func names(found []string, want string) bool {
	return slices.ContainsFunc(found, func(violation string) bool { return strings.Contains(violation, want) })
}

// findUnderLoad does faults of a kind until a violation is found.
func findUnderLoad(t *testing.T, s setup, kind, want string) {
	s.disks = harms[kind].needs == disks
	if s.disks && !canMount() {
		t.Skip("needs root, mkfs.ext4 and loop devices")
	}
	tr := newTrial(t, s)
	tr.produce(t, false)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	tr.cluster.patience = sabotagePatience
	var found []string
	var err error
	for err == nil && !names(found, want) && len(tr.history.faults) < sabotageFaults {
		n.queue = []string{kind}
		if err = tr.history.awaitMore(sabotagePatience); err != nil {
			break
		}
		if _, err = n.strike(); err != nil {
			found = append(found, err.Error())
		}
		found = append(found, tr.forgotten()...)
	}
	t.Logf("after %d faults: %q", len(tr.history.faults), found)
	if !names(found, want) {
		t.Errorf("none of it says %q: %v", want, err)
	}
}

// forgotten finds acknowledged events that no node knows of: among those that are yet to be
// delivered, and among the newest, which nothing has made leave the log so soon.
func (tr *trial) forgotten() (found []string) {
	told := tr.history.acknowledged()
	events := slices.Sorted(maps.Keys(told))
	events = events[max(0, len(events)-newestEvents):]
	for _, event := range slices.Compact(slices.Sorted(slices.Values(append(events, tr.history.pending(tr.receiver.endpoints)...)))) {
		if tr.gone(event, told[event]) {
			found = append(found, fmt.Sprintf("LOST: event %d was acknowledged as %s, %s", event, told[event], lostWords))
		}
	}
	return found
}

// lostWords are said of an event that was acknowledged.
const lostWords = "which is not in the log"

const (
	sabotagePatience = 40 * time.Second

	newestEvents   = 100 // for how many of them the nodes are asked after each fault
	sabotageFaults = 20  // at most
)
