package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/cluster"
	"hookwheel/config"
	"hookwheel/wal"
)

// clusterView is what a node says of the cluster.
type clusterView struct {
	Cluster string           `json:"cluster"`
	Node    string           `json:"node"`
	Leader  string           `json:"leader"`
	Waiting string           `json:"waiting"`
	Members []cluster.Member `json:"members"`
}

func newClusterCommand() *cobra.Command {
	c := new(client)
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "See and change the nodes of a running cluster, or recover one that has lost its majority",
		Example: `  hookwheel cluster status
  hookwheel cluster join 10.0.0.4:9071
  hookwheel cluster transfer n2 && hookwheel cluster remove n1
  hookwheel cluster recover --config /etc/hookwheel.hcl`,
	}
	c.addFlags(cmd)
	cmd.AddCommand(newClusterStatus(c), newClusterMembers(c), newClusterJoin(c), newClusterRemove(c), newClusterTransfer(c),
		newClusterFingerprint(c), newClusterRecover())
	return cmd
}

func newClusterStatus(c *client) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "How each node is: role, term, how far it has come, disk, version",
		Long: `How each node is, as the node that is asked sees it. Exit code 1 if there is no leader, a node does not answer, or one has
not caught up yet.

LAG counts the log entries that a node has not applied yet; SEEN is when it last answered.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showCluster(cmd, c, asJSON, printStatus, func(view *clusterView) error { return view.unwell() })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newClusterMembers(c *client) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "members",
		Short: "The nodes, their addresses for each other, and who has a vote",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showCluster(cmd, c, asJSON, printMembers, func(*clusterView) error { return nil })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showCluster(cmd *cobra.Command, c *client, asJSON bool, print func(io.Writer, *clusterView), verdict func(*clusterView) error) error {
	view := new(clusterView)
	if err := c.call(cmd.Context(), "GET", "/cluster", nil, view); err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), view); err != nil {
			return err
		}
	} else {
		print(cmd.OutOrStdout(), view)
	}
	return verdict(view)
}

// unwell says what is wrong with the cluster, if anything is.
func (v *clusterView) unwell() error {
	if v.Cluster == "" {
		return fmt.Errorf("%s is in no cluster yet: %s", v.Node, v.Waiting)
	}
	var silent []string
	for _, m := range v.Members {
		if m.Status == nil {
			silent = append(silent, m.ID)
		}
	}
	switch {
	case v.Leader == "":
		return errors.New("the cluster has no leader at the moment")
	case len(silent) > 0:
		return fmt.Errorf("no answer from %s", strings.Join(silent, ", "))
	case len(v.behind()) > 0:
		return fmt.Errorf("not caught up yet: %s", strings.Join(v.behind(), ", "))
	}
	return nil
}

// maxLag is how many entries a node may lack that keeps up, under load.
const maxLag = 1000

// behind are the nodes that must not be relied on yet if another one stops.
func (v *clusterView) behind() (nodes []string) {
	commit := v.commit()
	for _, m := range v.Members {
		if s := m.Status; s != nil && (s.Received > 0 || s.Applied+maxLag < commit || s.Voter && !m.Voter) {
			nodes = append(nodes, m.ID)
		}
	}
	return nodes
}

// commit is the last entry that any node knows to be committed.
func (v *clusterView) commit() (index uint64) {
	for _, m := range v.Members {
		if m.Status != nil {
			index = max(index, m.Status.Commit)
		}
	}
	return index
}

func printStatus(out io.Writer, v *clusterView) {
	commit := v.commit()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tROLE\tTERM\tCOMMIT\tAPPLIED\tLAG\tSEEN\tFREE\tVERSION\tNOTE")
	for _, m := range v.Members {
		s := m.Status
		if s == nil {
			fmt.Fprintf(table, "%s\t%s\t-\t-\t-\t-\t%s\t-\t-\t%s\n", m.ID, "no answer", seen(m.LastSeen), m.Problem)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", m.ID, role(m), s.Term, s.Commit, s.Applied,
			commit-min(commit, s.Applied), seen(m.LastSeen), gibibytes(s.Free), s.Version, note(s))
	}
	table.Flush()
}

func role(m cluster.Member) string {
	if m.Status.State == "follower" && !m.Voter {
		return "no vote"
	}
	return m.Status.State
}

func seen(at time.Time) string {
	switch ago := time.Since(at); {
	case at.IsZero():
		return "never"
	case ago < 2*time.Second:
		return "now"
	default:
		return ago.Round(time.Second).String() + " ago"
	}
}

func gibibytes(n int64) string { return fmt.Sprintf("%.1fGiB", float64(n)/(1<<30)) }

// note is what is remarkable about a node.
func note(s *cluster.Status) string {
	switch {
	case s.Received > 0:
		return fmt.Sprintf("receiving the state: %d MiB so far", s.Received>>20)
	case s.ToSend > 0:
		return fmt.Sprintf("sending the state: %d of %d MiB", s.Sent>>20, s.ToSend>>20)
	case s.Free < s.Least:
		return "disk short: no new events"
	case s.SlowDisk:
		return "slow disk: writes to its log take over a second"
	case s.ClockIsWrong():
		return fmt.Sprintf("wrong clock: %s ahead of the cluster", time.Duration(s.ClockAhead)*time.Millisecond)
	}
	return ""
}

func printMembers(out io.Writer, v *clusterView) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tADDRESS\tVOTE\tSERVER")
	for _, m := range v.Members {
		vote := "yes"
		if !m.Voter {
			vote = "no"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", m.ID, m.Address, vote, m.Server.Server)
	}
	table.Flush()
}

func newClusterJoin(c *client) *cobra.Command {
	var noVote bool
	cmd := &cobra.Command{
		Use:   "join ADDRESS",
		Short: "Let a new node in, which listens for the others at ADDRESS",
		Long: `Let a new node in. It must be running, with an empty data folder and the secret of the cluster, and wait to be let in, as one
whose configuration has "join" does. It gets its vote when it has caught up.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"address": args[0], "voter": !noVote}
			return c.done(cmd, "POST", "/cluster/members", in, "The node at "+args[0]+" is let in; `hookwheel cluster status` shows how far it has come.")
		},
	}
	cmd.Flags().BoolVar(&noVote, "no-vote", false, "let it keep everything but give it no vote: it never leads")
	return cmd
}

func newClusterRemove(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NODE",
		Short: "End the membership of a node, dead or alive",
		Long: `End the membership of a node, dead or alive. One that is alive ends itself. It is refused if the rest would have no majority
of nodes that are alive.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.done(cmd, "DELETE", "/cluster/members/"+url.PathEscape(args[0]), nil, args[0]+" is no longer a member.")
		},
	}
}

func newClusterTransfer(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [NODE]",
		Short: "Hand leadership to NODE, or to the follower that is furthest",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.done(cmd, "POST", "/cluster/transfer", map[string]string{"to": strings.Join(args, "")}, "Leadership is handed over.")
		},
	}
}

func newClusterFingerprint(c *client) *cobra.Command {
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "fingerprint",
		Short: "Tell whether all nodes hold the same state, while they go on",
		Long: `Tell whether all nodes hold the same state, while they go on: each sums up everything it holds as of the same log entry (SHA-256).
That takes some seconds for each GiB. Exit code 1 if the sums differ or a node gives none in time.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return compareFingerprints(cmd, c, patience) },
	}
	cmd.Flags().DurationVar(&patience, "wait", 10*time.Minute, "how long to wait for the nodes")
	return cmd
}

func compareFingerprints(cmd *cobra.Command, c *client, patience time.Duration) error {
	var asked struct {
		Index uint64 `json:"fingerprintIndex"`
	}
	if err := c.call(cmd.Context(), "POST", "/cluster/fingerprint", nil, &asked); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Each node sums up its state as of entry %d …\n", asked.Index)
	deadline := time.Now().Add(patience)
	for {
		view := new(clusterView)
		if err := c.call(cmd.Context(), "GET", "/cluster", nil, view); err != nil {
			return err
		}
		sums, missing := view.fingerprints(asked.Index)
		if len(missing) == 0 || time.Now().After(deadline) {
			return printFingerprints(cmd.OutOrStdout(), view, sums, missing)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		}
	}
}

// fingerprints are the sums that nodes have of one entry, and the nodes that have none.
func (v *clusterView) fingerprints(index uint64) (sums map[string]string, missing []string) {
	sums = make(map[string]string)
	for _, m := range v.Members {
		if m.Status != nil && m.Status.FingerprintIndex == index {
			sums[m.ID] = m.Status.Fingerprint
		} else {
			missing = append(missing, m.ID)
		}
	}
	return sums, missing
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
		return errors.New("the nodes do NOT hold the same state: run `hookwheel check` on each; a node that is found damaged is to be started empty")
	case len(missing) > 0:
		return fmt.Errorf("no sum of that entry from %s", strings.Join(missing, ", "))
	}
	_, err := fmt.Fprintln(out, "All nodes hold the same state.")
	return err
}

// done makes a call that has no answer, and says that it succeeded.
func (c *client) done(cmd *cobra.Command, method, path string, in any, text string) error {
	if err := c.call(cmd.Context(), method, path, in, nil); err != nil {
		return err
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

func newClusterRecover() *cobra.Command {
	var path string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover --config FILE",
		Short: "Begin a new cluster with what this node has, after a majority is lost for good",
		Long: `Begin a new cluster with what this node has, after a majority of the nodes is lost for good. The node must not be running.

What may be lost: events that only the lost nodes had. Of three nodes, each event is on two; if two are lost, the third may
lack the newest ones. What this node has in its log but does not know to be acknowledged is kept. What may come twice:
deliveries whose success only the lost nodes had recorded.

Run it on the node that has come furthest (without --yes it says how far this one has come, and changes nothing), start that
node, then start the others with empty data folders: they join by themselves. Nodes of the old cluster that come back
are refused until their data folders are moved away.`,
		Example: `  hookwheel cluster recover --config /etc/hookwheel.hcl
  hookwheel cluster recover --config /etc/hookwheel.hcl --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := config.Load(path)
			if err != nil {
				return err
			}
			return recoverNode(cmd.Context(), cmd.OutOrStdout(), config, !yes)
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "configuration file of the node (HCL)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; without, only say how far this node has come")
	if err := cmd.MarkFlagRequired("config"); err != nil {
		panic(err)
	}
	return cmd
}

func recoverNode(_ context.Context, out io.Writer, config config.Config, dry bool) (err error) {
	if _, err := os.Stat(filepath.Join(config.Data, "store")); err != nil {
		return fmt.Errorf("%s holds no data of a node: %w", config.Data, err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var failed error
	store, err := wal.Open(wal.Config{Dir: filepath.Join(config.Data, "store"), MinFree: config.Storage.MinFree, Logger: log,
		Fatal: func(err error) { failed = err }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(), failed) }()
	if dry {
		last, term, err := cluster.LastEntry(config.Data)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: its log ends at entry %d of term %d, its store at entry %d. The node with the highest term, and of those the highest entry,\n"+
			"has come furthest. Nothing was changed; --yes begins a new cluster with this one.\n", config.Node, last, term, store.Applied())
		return nil
	}
	report, err := cluster.Reset(config.Data, config.Node, config.Cluster.Address, store, log)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s begins cluster %s with the state as of entry %d; %d entries of its log were not in the store before.\n"+
		"Start it now, and then the others with empty data folders.\n", config.Node, report.Cluster[:8], report.Applied, report.Replayed)
	return err
}
