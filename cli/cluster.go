package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"hookwheel/cluster"
	"hookwheel/config"
	"hookwheel/node"
	"hookwheel/wal"
)

// clusterView is a node's view of the cluster.
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
		Short: "Show and change the nodes of a cluster, or recover a lost majority",
		Example: `  hookwheel cluster status
  hookwheel cluster join 10.0.0.4:9071
  hookwheel cluster transfer n2 && hookwheel cluster remove n1
  hookwheel cluster recover --config /etc/hookwheel.hcl`,
	}
	c.addFlags(cmd)
	cmd.AddCommand(newClusterStatus(c), newClusterMembers(c), newClusterConfiguration(c), newClusterJoin(c), newClusterRemove(c), newClusterTransfer(c),
		newClusterFingerprint(c), newClusterRecover())
	return cmd
}

func newClusterStatus(c *client) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of every node: role, progress, disk, version",
		Long: `Show the state of every node, as seen by the node that is called. The exit code
is 1 if there is no leader, or if a node does not respond or has not caught up.

LAG is the number of log entries that a node has not applied yet, SEEN the time
of its last response.`,
		Example: `  hookwheel cluster status
  hookwheel cluster status --json
  until hookwheel cluster status; do sleep 1; done`,
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
		Short: "List the nodes, their addresses, and which of them vote",
		Example: `  hookwheel cluster members
  hookwheel cluster members --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showCluster(cmd, c, asJSON, printMembers, func(*clusterView) error { return nil })
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func showCluster(cmd *cobra.Command, c *client, asJSON bool, print func(io.Writer, *clusterView),
	verdict func(*clusterView) error) error {
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

// unwell returns what is wrong with the cluster, if anything is.
func (v *clusterView) unwell() error {
	if v.Cluster == "" {
		return fmt.Errorf("%s is not in a cluster yet: %s", v.Node, v.Waiting)
	}
	member := false
	var silent []string
	for _, m := range v.Members {
		member = member || m.ID == v.Node
		if m.Status == nil {
			silent = append(silent, m.ID)
		}
	}
	switch {
	case !member:
		return fmt.Errorf("%s is not a member of the cluster any more: call another node", v.Node)
	case v.Leader == "":
		return errors.New("the cluster has no leader at the moment")
	case len(silent) > 0:
		return fmt.Errorf("no response from %s", strings.Join(silent, ", "))
	case len(v.behind()) > 0:
		return fmt.Errorf("not caught up yet: %s", strings.Join(v.behind(), ", "))
	}
	return nil
}

// maxLag is how many entries a node may lag behind under load and still count as caught up.
const maxLag = 1000

// behind returns the nodes that can't replace another one yet.
func (v *clusterView) behind() (nodes []string) {
	commit := v.commit()
	for _, m := range v.Members {
		if s := m.Status; s != nil && (s.Received > 0 || s.Applied+maxLag < commit || s.Voter && !m.Voter) {
			nodes = append(nodes, m.ID)
		}
	}
	return nodes
}

// commit returns the last entry that any node knows to be committed.
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
			fmt.Fprintf(table, "%s\t%s\t-\t-\t-\t-\t%s\t-\t-\t%s\n", m.ID, "no response", seen(m.LastSeen), m.Problem)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", m.ID, role(m), s.Term, s.Commit, s.Applied,
			commit-min(commit, s.Applied), seen(m.LastSeen), size(s.Free), s.Version, note(s))
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

// size returns a number of bytes such as "1.5 GiB".
func size(bytes int64) string { return humanize.IBytes(uint64(max(bytes, 0))) }

// note returns what an operator should know about a node.
func note(s *cluster.Status) string {
	switch {
	case s.Received > 0:
		return fmt.Sprintf("receiving the state: %s so far", size(s.Received))
	case s.ToSend > 0:
		return fmt.Sprintf("sending the state: %s of %s", size(s.Sent), size(s.ToSend))
	case s.Free < s.Least:
		return "low on disk: refusing new events"
	case s.SlowDisk:
		return "slow disk: log writes take over a second"
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
		Short: "Admit a new node, which listens for other nodes at ADDRESS",
		Long: `Admit a new node. It must be running with an empty data folder, the cluster's
secret and "join" in its configuration. It gets a vote once it has caught up.`,
		Example: `  hookwheel cluster join 10.0.0.4:9071
  hookwheel cluster join 10.0.0.5:9071 --no-vote`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := map[string]any{"address": args[0], "voter": !noVote}
			return c.done(cmd, "POST", "/cluster/members", in,
				"Node at "+args[0]+" admitted. `hookwheel cluster status` shows its progress.")
		},
	}
	cmd.Flags().BoolVar(&noVote, "no-vote", false, "store everything, but neither vote nor lead")
	return cmd
}

func newClusterRemove(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NODE",
		Short: "Remove a node, running or not",
		Long: `Remove a node from the cluster. A running node stops. The removal is refused if
the remaining nodes would not have a majority that is running.`,
		Example: `  hookwheel cluster remove n4`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.done(cmd, "DELETE", "/cluster/members/"+url.PathEscape(args[0]), nil, "Node removed.")
		},
	}
}

func newClusterTransfer(c *client) *cobra.Command {
	return &cobra.Command{
		Use:   "transfer [NODE]",
		Short: "Transfer leadership to NODE, or to the most up-to-date follower",
		Example: `  hookwheel cluster transfer
  hookwheel cluster transfer n2`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to := map[string]string{"to": strings.Join(args, "")}
			return c.done(cmd, "POST", "/cluster/transfer", to, "Leadership transferred.")
		},
	}
}

// done makes a call whose response has nothing to show, and prints that it succeeded.
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
		Short: "Start over with this data after losing a majority for good",
		Long: `Start a new cluster with this node's data, after a majority of the nodes was
lost for good. The node must not be running.

What may be lost: events that only the lost nodes had. With three nodes, each
event is on two of them; if two are lost, the third may lack the newest events.
Entries in its log that it does not know to be acknowledged are kept. What may
be delivered twice: events whose successful delivery only the lost nodes had
recorded.

Without --yes it only prints how up to date this node is. Run it with --yes on
the most up-to-date node, start that node, then start the others with empty data
folders: they join by themselves. Nodes of the old cluster are refused until
their data folders are moved away.`,
		Example: `  hookwheel cluster recover --config /etc/hookwheel.hcl
  hookwheel cluster recover --config /etc/hookwheel.hcl --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := config.Load(path)
			if err != nil {
				return err
			}
			return recoverNode(cmd.OutOrStdout(), config, !yes)
		},
	}
	addConfigFlag(cmd, &path)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; otherwise only print how up to date this node is")
	return cmd
}

func recoverNode(out io.Writer, config config.Config, dry bool) error {
	if err := node.RefuseHalfRestored(config.Data); err != nil {
		return err
	}
	if _, err := os.Stat(storeFolder(config.Data)); err != nil {
		return fmt.Errorf("%s is not the data folder of a node: %w", config.Data, err)
	}
	log := quietLogger(os.Stderr)
	var report cluster.ResetReport
	err := changeStore(wal.Config{Dir: storeFolder(config.Data), MinFree: config.Storage.MinFree, Logger: log}, func(store *wal.Store) (err error) {
		if dry {
			return printProgress(out, config, store.Applied())
		}
		report, err = cluster.Reset(config.Data, config.Node, config.Cluster.Address, store, log)
		return err
	})
	if err != nil || dry {
		return err
	}
	_, err = fmt.Fprintf(out, "%s starts cluster %s with the state as of entry %d; %d entries of its log were not in the store before.\n"+
		"Start it now, then start the other nodes with empty data folders.\n", config.Node, report.Cluster[:8], report.Applied, report.Replayed)
	return err
}

// printProgress prints the last entry of a node's log, and applied, that of its store.
func printProgress(out io.Writer, config config.Config, applied uint64) error {
	last, term, err := cluster.LastEntry(config.Data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `%s: log ends at entry %d of term %d, store at entry %d.
The most up-to-date node is the one with the highest term and, among those, the
highest entry. Nothing was changed; --yes starts a new cluster with this node.
`, config.Node, last, term, applied)
	return err
}
