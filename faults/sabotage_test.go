package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"
)

// sabotages are builds that break a promise on purpose, each with what must find that: a scenario, or
// faults of a kind under load.
var sabotages = map[string]struct{ tag, scenario, kind string }{
	"acknowledged before it is on any disk":       {tag: "sabotage_early", kind: "kill all"},
	"no fsync":                                    {tag: "sabotage_nosync", kind: "power loss of all"},
	"held messages are free when a leader begins": {tag: "sabotage_order", scenario: "held"},
	"a line without attempts is not noted":        {tag: "sabotage_planned", scenario: "overtaken"},
	"the watermark does not look inside commands": {tag: "sabotage_wrapped", scenario: "short"},
	"the leader's clock says what time it is":     {tag: "sabotage_clock", scenario: "clock"},
}

// TestSabotage wants each of them found.
func TestSabotage(t *testing.T) {
	for name, test := range sabotages {
		t.Run(name, func(t *testing.T) {
			found := []string(nil)
			if test.scenario != "" {
				s := scenarios[test.scenario]()
				s.setup.tags = test.tag
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
	for len(found) == 0 && len(tr.history.faults) < 8 {
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

// forgotten finds acknowledged events that are yet to be delivered and that no node knows of.
func (tr *trial) forgotten() (found []string) {
	told := make(map[int]string)
	tr.history.mu.Lock()
	for _, p := range tr.history.posts {
		if p.Status == http.StatusAccepted {
			told[p.Event] = p.ID
		}
	}
	tr.history.mu.Unlock()
	for _, event := range tr.history.pending(tr.receiver.endpoints) {
		id := told[event]
		status, _, err := tr.call(0, "GET", "/app/"+appOf(event)+"/msg/"+id, nil, nil)
		if id != "" && err == nil && status == http.StatusNotFound && slices.Contains(tr.history.pending(tr.receiver.endpoints), event) {
			found = append(found, fmt.Sprintf("LOST: event %d was acknowledged as %s, which is not in the log", event, id))
		}
	}
	return found
}
