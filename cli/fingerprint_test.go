package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"hookwheel/cluster"
)

// TestFingerprintDoesNotWait: nodes that have no sum in sight are named with the reason, long
// before the time to wait for them has passed.
func TestFingerprintDoesNotWait(t *testing.T) {
	sum := &cluster.Status{Applied: 7, FingerprintIndex: 7, Fingerprint: "aa"}
	tests := map[string]struct {
		n3   *cluster.Status
		want string
	}{
		"silent":    {nil, "n3, which does not respond"},
		"installs":  {&cluster.Status{Applied: 1, Received: 3 << 20}, "n3, which is receiving the state from the leader (3.0 MiB so far)"},
		"skipped":   {&cluster.Status{Applied: 9}, "n3, which got its state after that entry"},
		"different": {&cluster.Status{Applied: 7, FingerprintIndex: 7, Fingerprint: "bb"}, "do NOT hold the same state"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := runFingerprint(t, func(int64) *cluster.Status { return test.n3 }, sum)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v, want %q", err, test.want)
			}
		})
	}
}

// TestFingerprintWaits: a node that is behind or still summing up is waited for, and one that got
// its state after the entry is asked again.
func TestFingerprintWaits(t *testing.T) {
	sum := &cluster.Status{Applied: 7, FingerprintIndex: 7, Fingerprint: "aa"}
	states := []*cluster.Status{{Applied: 3}, {Applied: 7, FingerprintPending: 7}}
	if err := runFingerprint(t, func(look int64) *cluster.Status {
		if look < 3*hopelessPolls {
			return states[look%2]
		}
		return sum
	}, sum); err != nil {
		t.Error(err)
	}
	if err := runFingerprint(t, func(look int64) *cluster.Status {
		if look < hopelessPolls+2 {
			return &cluster.Status{Applied: 9}
		}
		return sum
	}, sum); err != nil {
		t.Error(err)
	}
}

// runFingerprint runs the command against a node that reports two others with a sum, and n3 as it
// is at each look.
func runFingerprint(t *testing.T, n3 func(look int64) *cluster.Status, sum *cluster.Status) error {
	t.Helper()
	var looks atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out any = map[string]int{"fingerprintIndex": 7}
		if r.Method == "GET" {
			member := func(id string, s *cluster.Status) cluster.Member {
				return cluster.Member{Server: cluster.Server{ID: id}, Status: s}
			}
			out = clusterView{Members: []cluster.Member{member("n1", sum), member("n2", sum), member("n3", n3(looks.Add(1)-1))}}
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	cmd := newClusterCommand()
	cmd.SetArgs([]string{"fingerprint", "--wait", "1h", "--url", server.URL, "--token", "token"})
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(new(strings.Builder))
	cmd.SetErr(new(strings.Builder))
	return cmd.ExecuteContext(t.Context())
}
