package cli

import (
	"strings"
	"testing"

	"hookwheel/cluster"
)

// TestClusterUnwell: what `hookwheel cluster status` ends with is what a rolling restart goes by.
func TestClusterUnwell(t *testing.T) {
	member := func(id string, voter bool, s *cluster.Status) cluster.Member {
		return cluster.Member{Server: cluster.Server{ID: id, Voter: voter}, Status: s}
	}
	well := member("n1", true, &cluster.Status{Voter: true, Commit: 5000, Applied: 5000})
	tests := map[string]struct {
		other cluster.Member
		want  string // part of what is said; empty: all is well
	}{
		"well":                 {member("n2", true, &cluster.Status{Voter: true, Commit: 4990, Applied: 4990}), ""},
		"without a vote":       {member("n2", false, &cluster.Status{Commit: 5000, Applied: 5000}), ""},
		"silent":               {member("n2", true, nil), "no response from n2"},
		"behind":               {member("n2", true, &cluster.Status{Voter: true, Commit: 5000, Applied: 100}), "not caught up yet: n2"},
		"receiving the state":  {member("n2", true, &cluster.Status{Voter: true, Applied: 5000, Received: 1}), "not caught up yet: n2"},
		"waiting for its vote": {member("n2", false, &cluster.Status{Voter: true, Applied: 5000}), "not caught up yet: n2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			view := &clusterView{Cluster: "c", Node: "n1", Leader: "n1", Members: []cluster.Member{well, test.other}}
			got := ""
			if err := view.unwell(); err != nil {
				got = err.Error()
			}
			if test.want == "" && got != "" || !strings.Contains(got, test.want) {
				t.Errorf("it says %q, not %q", got, test.want)
			}
		})
	}
	view := &clusterView{Cluster: "c", Node: "n1", Members: []cluster.Member{well}}
	if err := view.unwell(); err == nil || !strings.Contains(err.Error(), "no leader") {
		t.Errorf("without a leader it says %v", err)
	}
	view.Node = "n9"
	if err := view.unwell(); err == nil || !strings.Contains(err.Error(), "n9 is not a member of the cluster any more") {
		t.Errorf("asked at a node that was removed it says %v", err)
	}
}
