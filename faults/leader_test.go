package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// TestLeaderKills measures how long the cluster has no leader after its leader is killed. No call
// to a survivor may fail.
func TestLeaderKills(t *testing.T) {
	tr := newTrial(t, setup{})
	tr.produce(t, false)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	for range *killsFlag {
		n.queue = []string{"kill leader"}
		if f, err := n.strike(); err != nil {
			t.Fatalf("%s of %v: %v", f.Kind, f.Nodes, err)
		}
		if err := tr.history.awaitMore(patience); err != nil {
			t.Fatal(err)
		}
	}
	v := tr.finish(t)
	for _, p := range tr.history.posts {
		if p.Status != 202 && !p.Down {
			v.wrong("event %d got no 202 from n%d, which survived: %d %s", p.Event, p.Node+1, p.Status, p.Failure)
		}
	}
	tr.report(t, v)
}

// TestRollingRestart restarts all nodes in turn, over mutual TLS. Producers use a load
// balancer that follows the health checks: every call must get its 202 at the first try.
func TestRollingRestart(t *testing.T) {
	tr := newTrial(t, setup{tls: true})
	tr.produce(t, true)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	n.queue = []string{"rolling restart"}
	_, err := n.strike()
	v := tr.finish(t)
	v.allAccepted(tr.history)
	if err != nil {
		t.Error(err)
	}
	tr.report(t, v)
}

// TestLeaderStops measures how long a POST takes at most while the leader is stopped with SIGTERM
// and another node takes over. Producers use a load balancer that follows the health
// checks: every call must get its 202 at the first try.
func TestLeaderStops(t *testing.T) {
	if *stopsFlag == 0 {
		t.Skip("-stops says how often")
	}
	tr := newTrial(t, setup{tls: *tlsFlag})
	tr.produce(t, true)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(1, 1))}
	for range *stopsFlag {
		if err := tr.history.awaitMore(patience); err != nil {
			t.Fatal(err)
		}
		n.queue = []string{"restart leader"}
		if f, err := n.strike(); err != nil {
			t.Fatalf("%s of %v: %v", f.Kind, f.Nodes, err)
		}
	}
	v := tr.finish(t)
	v.allAccepted(tr.history)
	t.Log(tr.history.longestPosts())
	tr.report(t, v)
}

// allAccepted wants every call to have got its 202.
func (v *verdict) allAccepted(h *history) {
	for _, p := range h.posts {
		if p.Status != 202 {
			v.wrong("event %d got no 202 from n%d: %d %s", p.Event, p.Node+1, p.Status, p.Failure)
		}
	}
}

// longestPosts is a table of the longest call about each fault, through the nodes that were hit and
// through the others, and of all that were not about one.
func (h *history) longestPosts() string {
	var others, hit, rest []time.Duration
	for _, f := range h.faults {
		var longest [2]time.Duration // through the others, through those that were hit
		for _, p := range h.posts {
			if p.End.Before(f.Start) || p.Start.After(f.Well) {
				continue
			}
			which := &longest[0]
			if slices.Contains(f.Nodes, p.Node) {
				which = &longest[1]
			}
			*which = max(*which, p.End.Sub(p.Start))
		}
		others, hit = append(others, longest[0]), append(hit, longest[1])
	}
	for _, p := range h.posts {
		if !slices.ContainsFunc(h.faults, func(f fault) bool { return p.End.After(f.Start) && p.Start.Before(f.Well) }) {
			rest = append(rest, p.End.Sub(p.Start))
		}
	}
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "longest POST\tfaults\tmedian\tmax\t")
	for _, row := range []struct {
		name string
		list []time.Duration
	}{{"through the other nodes", others}, {"through the node that was hit", hit}, {"all POSTs at other times", rest}} {
		if len(row.list) == 0 {
			continue
		}
		slices.Sort(row.list)
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t\n", row.name, len(row.list), row.list[len(row.list)/2].Round(time.Millisecond), row.list[len(row.list)-1].Round(time.Millisecond))
	}
	table.Flush()
	return "\n" + out.String()
}
