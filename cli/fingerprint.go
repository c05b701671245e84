package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hookwheel/cluster"
)

func newClusterFingerprint(c *client) *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "fingerprint",
		Short: "Check that all nodes hold the same state, while they run",
		Long: `Check that all nodes hold the same state, while they run: each computes a
SHA-256 sum of everything it holds as of the same log entry, which takes some
seconds per GiB. The exit code is 1 if the sums differ or a node reports none in
time. A node that does not respond, or is receiving the state from the leader,
is not waited for.`,
		Example: `  hookwheel cluster fingerprint
  hookwheel cluster fingerprint --wait 1h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return compareFingerprints(cmd, c, patience) },
	}
	cmd.Flags().DurationVar(&patience, "wait", 10*time.Minute, "how long to wait for the nodes")
	return cmd
}

const (
	fingerprintPoll = 200 * time.Millisecond

	// hopelessPolls is how many polls in succession must show that a node has no sum in sight.
	hopelessPolls = 10

	// fingerprintTries is how often a sum is requested if a node got its state after the entry.
	fingerprintTries = 5
)

func compareFingerprints(cmd *cobra.Command, c *client, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for try := 1; ; try++ {
		view, index, err := awaitFingerprints(cmd, c, deadline)
		if err != nil {
			return err
		}
		sums, missing := view.fingerprints(index)
		if view.skipped(index) && try < fingerprintTries && time.Now().Before(deadline) {
			continue
		}
		return printFingerprints(cmd.OutOrStdout(), view, sums, missing)
	}
}

// awaitFingerprints requests sums as of one entry, and returns when all nodes have theirs, the
// others won't have one soon, or the deadline has passed.
func awaitFingerprints(cmd *cobra.Command, c *client, deadline time.Time) (view *clusterView, index uint64, err error) {
	ctx := cmd.Context()
	var asked struct {
		Index uint64 `json:"fingerprintIndex"`
	}
	if err := c.call(ctx, "POST", "/cluster/fingerprint", nil, &asked); err != nil {
		return nil, 0, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Waiting for each node to sum up its state as of entry %d.\n", asked.Index)
	for hopeless := 0; hopeless < hopelessPolls; {
		if view, err = c.clusterView(ctx); err != nil {
			return nil, 0, err
		}
		if _, missing := view.fingerprints(asked.Index); len(missing) == 0 || time.Now().After(deadline) {
			break
		}
		if hopeless++; view.summing(asked.Index) {
			hopeless = 0
		}
		select {
		case <-time.After(fingerprintPoll):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return view, asked.Index, nil
}

func (c *client) clusterView(ctx context.Context) (*clusterView, error) {
	view := new(clusterView)
	return view, c.call(ctx, "GET", "/cluster", nil, view)
}

// fingerprints returns the sums as of one entry, by node, and for each other node why it has none.
func (v *clusterView) fingerprints(index uint64) (sums map[string]string, missing []string) {
	sums = make(map[string]string)
	for _, m := range v.Members {
		if m.Status != nil && m.Status.FingerprintIndex == index {
			sums[m.ID] = m.Status.Fingerprint
		} else {
			missing = append(missing, m.ID+", which "+withoutFingerprint(&m, index))
		}
	}
	return sums, missing
}

// withoutFingerprint returns why a member has no sum as of an entry.
func withoutFingerprint(m *cluster.Member, index uint64) string {
	switch s := m.Status; {
	case s == nil:
		return "does not respond"
	case s.Received > 0:
		return fmt.Sprintf("is receiving the state from the leader (%s so far)", humanize.IBytes(uint64(s.Received)))
	case s.Applied < index:
		return fmt.Sprintf("is %d entries behind", index-s.Applied)
	case s.FingerprintPending > 0:
		return "is still summing up"
	default:
		return "got its state after that entry: run the command again"
	}
}

// summing reports whether a member without a sum as of an entry will have one.
func (v *clusterView) summing(index uint64) bool {
	for _, m := range v.Members {
		s := m.Status
		if s != nil && s.FingerprintIndex != index && s.Received == 0 && (s.Applied < index || s.FingerprintPending > 0) {
			return true
		}
	}
	return false
}

// skipped reports whether a member that responds got its state after an entry, so that it never
// computes the sum as of that entry.
func (v *clusterView) skipped(index uint64) bool {
	for _, m := range v.Members {
		s := m.Status
		if s != nil && s.FingerprintIndex != index && s.Received == 0 && s.Applied >= index && s.FingerprintPending == 0 {
			return true
		}
	}
	return false
}

func printFingerprints(out io.Writer, view *clusterView, sums map[string]string, missing []string) error {
	different := make(map[string]bool)
	for _, m := range view.Members {
		if sum := sums[m.ID]; sum != "" {
			different[sum] = true
			fmt.Fprintf(out, "%s  %s\n", m.ID, sum)
		}
	}
	switch {
	case len(different) > 1:
		return errors.New("the nodes do NOT hold the same state: run `hookwheel check` on each, " +
			"and restart a damaged node with an empty data folder")
	case len(missing) > 0:
		return fmt.Errorf("no sum as of that entry from %s", strings.Join(missing, "; from "))
	}
	_, err := fmt.Fprintln(out, "All nodes hold the same state.")
	return err
}
