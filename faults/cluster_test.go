package faults

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const (
	token     = "token-of-the-fault-suite"
	secret    = "secret-of-the-fault-suite-0123456789"
	patience  = 2 * time.Minute  // with anything that must happen in the end: a bound for hanging, not a promise
	callLimit = 25 * time.Second // for one call; more than a node holds it without a leader
)

// The blocks storage and delivery of the configurations. In long runs size pressure removes
// messages from the log, and what is left of them when hours pass.
const (
	usualStorage  = "  min_free = \"64MiB\"\n  max_size = \"8MiB\"\n  retention = \"1h\""
	usualDelivery = "  timeout = \"5s\"\n  retry {\n    base = \"1s\"\n    factor = 1\n    max_retries = 100\n  }"
)

// cluster is three nodes, each a process of its own.
type cluster struct {
	t       *testing.T
	binary  string
	dir     string // of all files
	network *network
	nodes   []*node
	voters  int // how many of the nodes, from the first one on, have a vote
	http    http.Client

	patience time.Duration // with what must happen in the end
	passed   atomic.Int64  // seconds by which all clocks were set ahead for good
}

// node is one of them, counted from 0.
type node struct {
	name   string
	api    string // URL
	data   string
	config string
	log    string // file
	disk   *disk  // nil: none of its own
	clock  string // file that says how wrong its clock is; empty: that can't be

	process atomic.Pointer[process.Process] // nil: it was never started
	down    atomic.Bool                     // the nemesis keeps it down, or has stopped it: producers leave it alone
}

// newCluster writes the configurations; the nodes reach each other through the network's proxies
// only.
func newCluster(t *testing.T, s setup, dir string) *cluster {
	t.Helper()
	c := &cluster{t: t, binary: s.build(t), dir: dir, network: newNetwork(), patience: patience, http: http.Client{Timeout: callLimit,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	c.nodes = make([]*node, cmp.Or(s.nodes, 3))
	c.voters = len(c.nodes) - s.nonVoters
	listen := make([]string, len(c.nodes))
	for i := range c.nodes {
		listen[i] = process.FreeAddress(t)
		n := &node{name: fmt.Sprint("n", i+1), api: "http://" + process.FreeAddress(t)}
		n.down.Store(true)
		n.data, n.config, n.log = filepath.Join(dir, n.name), filepath.Join(dir, n.name+".hcl"), filepath.Join(dir, n.name+".log")
		if s.clocks {
			n.clock = filepath.Join(dir, n.name+".clock")
		}
		if s.disks {
			n.disk = newDisk(t, filepath.Join(dir, n.name+".disk"), n.data, cmp.Or(s.diskSize, diskSize))
			n.data = filepath.Join(n.data, "data")
		}
		c.nodes[i] = n
	}
	tls := ""
	if s.tls {
		c.run(t, "cert", "ca", "--out", filepath.Join(dir, "certs"))
		args := []string{"cert", "node", "--ca", filepath.Join(dir, "certs"), "--out", filepath.Join(dir, "certs")}
		for _, n := range c.nodes {
			args = append(args, n.name)
		}
		c.run(t, args...)
	}
	for i, n := range c.nodes {
		peers := ""
		for j := range c.nodes {
			address := "127.0.0.1:9" // what it tells the others, where nobody listens: they must use their proxies
			if i != j {
				var err error
				if address, err = c.network.link(i, j, listen[j]); err != nil {
					t.Fatal(err)
				}
			}
			peers += fmt.Sprintf("  peer %q { address = %q }\n", c.nodes[j].name, address)
		}
		if s.tls {
			certs := filepath.Join(dir, "certs")
			tls = fmt.Sprintf("  tls {\n    ca = %q\n    cert = %q\n    key = %q\n  }\n", filepath.Join(certs, "ca.pem"),
				filepath.Join(certs, n.name+".pem"), filepath.Join(certs, n.name+"-key.pem"))
		}
		text := fmt.Sprintf(`
node      = %q
data      = %q
log_level = "info"
api {
  listen = %q
  token  = %q
  drain  = "1s"
}
cluster {
  listen = %q
  voter  = %t
  secret = %q
%s%s}
storage {
%s
}
delivery {
  allow = ["127.0.0.0/8"]
%s
}
`, n.name, n.data, strings.TrimPrefix(n.api, "http://"), token, listen[i], i < c.voters, secret, peers, tls,
			cmp.Or(s.storage, usualStorage), cmp.Or(s.delivery, usualDelivery))
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n.disk != nil {
				_ = n.disk.thaw() // or it could not end; most often it is not frozen
			}
			n.signal(syscall.SIGCONT)
			n.kill()
		}
		if err := c.network.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// run runs a command of hookwheel that must succeed.
func (c *cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.tool(args...)
	if err != nil {
		t.Fatalf("hookwheel %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// tool runs a command of hookwheel against the first node.
func (c *cluster) tool(args ...string) (string, error) {
	cmd := c.command(args...)
	cmd.Env = append(cmd.Env, "HOOKWHEEL_URL="+c.nodes[0].api, "HOOKWHEEL_TOKEN="+token)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// command is the command that runs hookwheel as it was built for this cluster.
func (c *cluster) command(args ...string) *exec.Cmd {
	cmd := process.Command(process.Context(c.t), args...)
	if c.binary != "" {
		cmd.Path = c.binary
	}
	return cmd
}

// start starts a node, or starts it again.
func (c *cluster) start(i int) error {
	n := c.nodes[i]
	cmd := c.command("serve", "--config", n.config)
	cmd.Env = append(cmd.Env, clockVariable+"="+n.clock)
	p, err := process.Run(cmd, n.log)
	if err != nil {
		return err
	}
	n.process.Store(p)
	return nil
}

func (n *node) signal(s syscall.Signal) {
	if p := n.process.Load(); p != nil {
		_ = p.Cmd.Process.Signal(s) // it may have ended
	}
}

// kill ends a node with SIGKILL and waits for it.
func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	if p := n.process.Load(); p != nil {
		<-p.Ended
	}
}

// stopLimit is the drain of a second, the 15 s that a node gives itself after that, and some for a
// machine that is busy.
const stopLimit = 26 * time.Second

// stop ends a node with SIGTERM; it must end in time, and well.
func (n *node) stop() error {
	code, err := n.process.Load().End(stopLimit)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s ended with exit code %d after SIGTERM", n.name, code)
	}
	return err
}

// awaitEnd waits until a node has ended that must do so by itself.
func (n *node) awaitEnd() error {
	select {
	case <-n.process.Load().Ended:
		return nil
	case <-time.After(failLimit):
		return fmt.Errorf("%s goes on after %s", n.name, failLimit)
	}
}

// failLimit is for a node to end by itself.
const failLimit = 30 * time.Second

func (n *node) alive() bool {
	p := n.process.Load()
	return p != nil && p.IsAlive()
}

// awaitResponse waits until a node that was started answers at all, or has ended: before that it is
// to be left alone.
func (c *cluster) awaitResponse(i int) error {
	return wait.Until(c.patience, c.nodes[i].name+" answers", func() bool {
		status, _, err := c.call(i, "GET", "/health/ping", nil, nil)
		return err == nil && status < 300 || !c.nodes[i].alive()
	})
}

// call makes a call to a node; the error is about the connection.
func (c *cluster) call(i int, method, path string, body any, out any) (status int, text []byte, err error) {
	return c.callWithKey(i, method, path, "", body, out)
}

// callWithKey makes a call with an idempotency key, if that is not empty.
func (c *cluster) callWithKey(i int, method, path, key string, body any, out any) (status int, text []byte, err error) {
	var in io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		in = bytes.NewReader(encoded)
	}
	request, err := http.NewRequest(method, c.nodes[i].api+"/api/v1"+path, in)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if text, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, err
	}
	if out != nil && response.StatusCode < 300 {
		err = json.Unmarshal(text, out)
	}
	return response.StatusCode, text, err
}

// health is what a node says of itself.
type health struct{ Status, State, Leader string }

// leader is the node that all nodes take for the leader. An error says which of them is not well,
// or does not agree.
func (c *cluster) leader() (leader int, err error) {
	leader, name := -1, ""
	for i, n := range c.nodes {
		var h health
		status, text, err := c.call(i, "GET", "/health", nil, &h)
		switch {
		case err != nil || status != http.StatusOK || h.Status != "ok" && h.Status != "full":
			return -1, fmt.Errorf("%s is not well: %d %s, %v", n.name, status, text, err)
		case name != "" && h.Leader != name:
			return -1, fmt.Errorf("%s takes %q for the leader, others %q", n.name, h.Leader, name)
		}
		if name = h.Leader; name == n.name && h.State == "leader" {
			leader = i
		}
	}
	if leader < 0 {
		return -1, fmt.Errorf("%q is not the leader that all take it for", name)
	}
	return leader, nil
}

// allRun returns an error if a node has ended, with what it said last.
func (c *cluster) allRun() error {
	for _, n := range c.nodes {
		if !n.alive() {
			return fmt.Errorf("%s has ended: %s", n.name, n.lastLine())
		}
	}
	return nil
}

func (n *node) lastLine() string {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

// awaitWell waits until all nodes are well, agree on a leader, have their votes, and hold all that
// was committed when it began to wait. It does not wait for a node that has ended.
func (c *cluster) awaitWell() (leader int, err error) { return c.helpUntilWell(c.allRun) }

// helpUntilWell is awaitWell that calls help before each look.
func (c *cluster) helpUntilWell(help func() error) (leader int, err error) {
	var committed uint64
	var amiss error
	inVain := wait.Until(c.patience, "the cluster is well", func() bool {
		if err = help(); err != nil {
			return true
		}
		leader, amiss = c.wellSince(&committed)
		return amiss == nil
	})
	if inVain != nil {
		inVain = fmt.Errorf("%w: %w", inVain, amiss)
	}
	return leader, errors.Join(inVain, err)
}

// wellSince is one look of awaitWell; the first one that finds a leader sets what was committed.
func (c *cluster) wellSince(committed *uint64) (leader int, err error) {
	if leader, err = c.leader(); err != nil {
		return leader, err
	}
	var v view
	if status, text, err := c.call(leader, "GET", "/cluster", nil, &v); err != nil || status != http.StatusOK {
		return leader, fmt.Errorf("the members at %s: %d %s, %w", c.nodes[leader].name, status, text, err)
	}
	if *committed == 0 {
		*committed = v.committed()
	}
	return leader, c.complete(&v, *committed)
}

// view is how a node sees the cluster.
type view struct {
	Members []struct {
		ID     string
		Voter  bool
		Status *struct {
			AppliedIndex  uint64
			CommitIndex   uint64
			ReceivedBytes int64
		}
	}
}

// committed is how far the log is committed.
func (v *view) committed() (index uint64) {
	for _, m := range v.Members {
		if m.Status != nil {
			index = max(index, m.Status.CommitIndex)
		}
	}
	return index
}

// complete returns an error unless all nodes are members, with their votes, and have applied the
// log up to an index.
func (c *cluster) complete(v *view, index uint64) error {
	voters := 0
	for _, m := range v.Members {
		switch {
		case m.Status == nil:
			return fmt.Errorf("%s does not say how far it is", m.ID)
		case m.Status.AppliedIndex < index:
			return fmt.Errorf("%s has applied %d of %d entries", m.ID, m.Status.AppliedIndex, index)
		}
		if m.Voter {
			voters++
		}
	}
	if len(v.Members) != len(c.nodes) || voters != c.voters {
		return fmt.Errorf("%d members and %d votes, not %d and %d", len(v.Members), voters, len(c.nodes), c.voters)
	}
	return nil
}
