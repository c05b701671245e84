package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"hookwheel/cluster"
)

const exitAttention = 4 // of attention: something needs it

// attention is what an operator should look at.
type attention struct {
	Nodes     []nodeProblem     `json:"nodes"`
	Counts    map[string]int    `json:"counts"`    // endpoints by state
	Endpoints []json.RawMessage `json:"endpoints"` // the newest of those that need attention
}

// nodeProblem is what is wrong with a node, or, without a node, with the cluster.
type nodeProblem struct {
	Node    string `json:"node,omitempty"`
	Problem string `json:"problem"`
}

func newAttentionCommand() *cobra.Command {
	var (
		c      client
		asJSON bool
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "attention",
		Short: "Show what needs attention: endpoints, nodes and disks",
		Long: `Show what needs attention: endpoints that are failing, parked, disabled, or
blocked by a message that others must not overtake, with what waits for them;
nodes that do not respond or have not caught up; disks that are nearly full.

Exit codes: 0 if nothing needs attention, 4 if something does; 1 to 3 mean that
the command itself failed.`,
		Example: `  hookwheel attention
  hookwheel attention --limit 250 --json | jq .endpoints
  hookwheel attention > report.txt || mail -s Webhooks ops < report.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 || limit > maxPage {
				return usageErrorf("--limit must be from 0 to %d", maxPage)
			}
			found, err := lookForAttention(cmd, &c, limit)
			if err != nil {
				found.printNodes(cmd.OutOrStdout()) // which may be the reason
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), found)
			} else {
				err = found.print(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			return found.verdict()
		},
	}
	c.addFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVarP(&limit, "limit", "n", 50, "maximum `number` of endpoints to show, up to 250")
	return cmd
}

func lookForAttention(cmd *cobra.Command, c *client, limit int) (found attention, err error) {
	view := new(clusterView)
	if err := c.call(cmd.Context(), "GET", "/cluster", nil, view); err != nil {
		return found, err
	}
	found.Nodes = view.problems()
	var page struct {
		Data   []json.RawMessage
		Counts map[string]int
	}
	query := url.Values{"health": {"failing,parked,disabled,blocked"}, "limit": {strconv.Itoa(max(limit, 1))}}
	if err := c.call(cmd.Context(), "GET", "/endpoint?"+query.Encode(), nil, &page); err != nil {
		return found, err
	}
	found.Counts, found.Endpoints = page.Counts, page.Data[:min(limit, len(page.Data))]
	return found, nil
}

// problems are what is wrong with the cluster and its nodes.
func (v *clusterView) problems() []nodeProblem {
	list := []nodeProblem{}
	behind := v.behind()
	for _, m := range v.Members {
		if problem := problemOf(&m, slices.Contains(behind, m.ID)); problem != "" {
			list = append(list, nodeProblem{m.ID, problem})
		}
	}
	if err := v.unwell(); err != nil && (len(list) == 0 || v.Leader == "") {
		list = append(list, nodeProblem{Problem: err.Error()})
	}
	return list
}

// problemOf returns what is wrong with a node, or "".
func problemOf(m *cluster.Member, behind bool) string {
	if m.Status == nil {
		return strings.TrimSuffix("no response: "+m.Problem, ": ")
	}
	switch problem := note(m.Status); {
	case problem != "":
		return problem
	case behind:
		return "not caught up yet"
	case isNearlyFull(m.Status):
		return fmt.Sprintf("disk nearly full: %s free; below %s it refuses new events", size(m.Status.Free), size(m.Status.Least))
	}
	return ""
}

// isNearlyFull reports whether a node's disk has less than twice the space that it must have for
// new events.
func isNearlyFull(s *cluster.Status) bool { return s.Free < 2*s.Least }

// attentionStates are the states of endpoints that need attention.
var attentionStates = []string{"failing", "parked", "disabled", "blocked"}

// verdict returns an error if something needs attention.
func (a *attention) verdict() error {
	var parts []string
	if n := len(a.Nodes); n > 0 {
		parts = append(parts, fmt.Sprintf("nodes (%d)", n))
	}
	for _, state := range attentionStates {
		if n := a.Counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s endpoints (%d)", state, n))
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return &exitError{errors.New("attention needed: " + strings.Join(parts, ", ")), exitAttention}
}

func (a *attention) printNodes(out io.Writer) {
	for _, p := range a.Nodes {
		if p.Node != "" {
			fmt.Fprintf(out, "node %s: ", p.Node)
		}
		fmt.Fprintln(out, p.Problem)
	}
}

func (a *attention) print(out io.Writer) error {
	if a.printNodes(out); len(a.Nodes) > 0 {
		fmt.Fprintln(out)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "HEALTHY\tFAILING\tPARKED\tPAUSED\tDISABLED\tBLOCKED")
	for i, state := range []string{"healthy", "failing", "parked", "paused", "disabled", "blocked"} {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, a.Counts[state])
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil || len(a.Endpoints) == 0 {
		return err
	}
	fmt.Fprintln(out)
	return a.printEndpoints(out)
}

func (a *attention) printEndpoints(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "APPLICATION\tENDPOINT\tSTATE\tBACKLOG\tOLDEST\tFAILING SINCE\tURL")
	for _, item := range a.Endpoints {
		var e struct {
			ID, AppID, URL string
			UID, AppUID    *string
			Health         struct {
				State                            string
				Blocked, BehindMore              bool
				Waiting, Held, Requested, Behind uint64
				Oldest, FailingSince             *time.Time
			}
		}
		if err := json.Unmarshal(item, &e); err != nil {
			return fmt.Errorf("invalid response: %w", err)
		}
		h := &e.Health
		state, backlog := h.State, strconv.FormatUint(h.Waiting+h.Held+h.Requested+h.Behind, 10)
		if h.Blocked {
			state += ", blocked"
		}
		if h.BehindMore {
			backlog += "+"
		}
		row := []string{nameOr(e.AppUID, e.AppID), nameOr(e.UID, e.ID), state, backlog, age(h.Oldest), age(h.FailingSince), e.URL}
		for i := range row {
			row[i] = printable(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func nameOr(uid *string, id string) string {
	if uid != nil && *uid != "" {
		return *uid
	}
	return id
}

// age returns how long ago a time was, or "-" for none.
func age(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return seen(*t)
}
