package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"hookwheel/cli"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

var (
	durationFlag = flag.Duration("duration", 45*time.Second, "how long TestFaults does harm")
	faultsFlag   = flag.Int("faults", 0, "how many faults TestFaults does at least, whatever -duration says")
	kindsFlag    = flag.String("kinds", "", "which faults TestFaults does, with commas between; empty: all that can be done here")
	seedFlag     = flag.Uint64("seed", 0, "seed of the nemesis; 0: a new one")
	killsFlag    = flag.Int("kills", 3, "how often TestLeaderKills kills the leader")
	stopsFlag    = flag.Int("stops", 0, "how often TestLeaderStops stops the leader; 0: it is left out")
	tlsFlag      = flag.Bool("tls", false, "mutual TLS between the nodes")
	nodesFlag    = flag.Int("nodes", 3, "how many nodes TestFaults has")
	nonVoterFlag = flag.Int("nonvoters", 0, "how many of them have no vote")
	clocksFlag   = flag.Bool("clocks", false, "let the nodes' clocks jump, too; building that takes a minute")
)

// setup is what a cluster is made of.
type setup struct {
	tags   string // of the build
	tls    bool   // mutual TLS between the nodes
	disks  bool   // a file system for each node, which can be full, fail, hang and lose its power
	clocks bool   // which can jump

	diskSize  int64 // of each file system; 0: as usual
	nodes     int   // 0: three
	nonVoters int   // the last of the nodes

	endpoints         []*endpoint // nil: the usual ones
	storage, delivery string      // what is in these blocks of the configuration; empty: the usual
}

// builds is where the binaries of this run are; each is made once, one at a time.
var builds struct {
	sync.Mutex
	dir string
}

// clustersAtOnce is how many of the tests run concurrently that spend most of their time waiting.
const clustersAtOnce = "4"

func TestMain(m *testing.M) {
	defer func() {
		if err := os.RemoveAll(builds.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	if err := ownMounts(); err != nil {
		panic(err)
	}
	if err := flag.Set("test.parallel", clustersAtOnce); err != nil { // the command line may say otherwise
		panic(err)
	}
	process.Main(m, func() int { return cli.Main("test") })
}

// build makes the binary, with the race detector if this test has it. Empty: this test binary runs
// itself as hookwheel, as nothing is to be different.
func (s setup) build(t *testing.T) (binary string) {
	t.Helper()
	if s.tags == "" && !s.clocks {
		return ""
	}
	builds.Lock()
	defer builds.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "hookwheel-builds-")
		if err != nil {
			t.Fatal(err)
		}
		builds.dir = dir
	}
	dir := filepath.Join(builds.dir, fmt.Sprint(s.tags, s.clocks))
	binary = filepath.Join(dir, "hookwheel")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-buildvcs=false", "-o", binary, "-tags", s.tags}
	if raceEnabled {
		args = append(args, "-race")
	}
	if s.clocks {
		main, err := filepath.Abs("..")
		if err != nil {
			t.Fatal(err)
		}
		overlay, err := clockOverlay(dir, main, logOverlay)
		if err != nil {
			t.Fatal(err)
		}
		modfile, err := failingLibrary(dir, main)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "-overlay", overlay, "-modfile", modfile)
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building hookwheel: %v\n%s", err, out)
	}
	return binary
}

// trial is one cluster under load.
type trial struct {
	*cluster
	dir      string
	history  *history
	receiver *receiver
	load     *load
	bounded  bool // messages leave the log by size
}

func newTrial(t *testing.T, s setup) *trial {
	t.Helper()
	dir, err := os.MkdirTemp("", "hookwheel-faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("history, logs and data are in %s", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h, err := newHistory(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	tr := &trial{dir: dir, history: h, cluster: newCluster(t, s, dir)}
	if s.endpoints == nil {
		s.endpoints = newEndpoints()
	}
	tr.bounded = s.storage == ""
	tr.receiver = newReceiver(t, h, tr.cluster, s.endpoints)
	for i, n := range tr.nodes {
		if err := tr.start(i); err != nil {
			t.Fatal(err)
		}
		n.down.Store(false)
	}
	if _, err := tr.awaitWell(); err != nil {
		t.Fatal(err)
	}
	tr.receiver.setUp(t, tr.cluster)
	return tr
}

// produce starts the producers; with a balancer they know of the nodes only what their health
// checks say.
func (tr *trial) produce(t *testing.T, balanced bool) {
	var b *balancer
	if balanced {
		b = startBalancer(tr.cluster)
		t.Cleanup(b.stop)
	}
	tr.load = startLoad(tr.cluster, tr.history, b)
	tr.load.wg.Go(tr.resendAtHand)
	t.Cleanup(tr.load.stop)
}

// finish ends the load, lets everything drain, and judges.
func (tr *trial) finish(t *testing.T) *verdict {
	t.Helper()
	if _, err := tr.awaitWell(); err != nil {
		t.Error(err)
	}
	if err := tr.setClocks(func(int) int { return 0 }); err != nil {
		t.Error(err)
	}
	tr.load.stop()
	tr.receiver.calm.Store(true)
	tr.resumeAll(t)
	if err := wait.Until(patience, "all events are delivered", func() bool { return !tr.waits() }); err != nil {
		t.Log(err) // the checker says which are not
	}
	v := tr.judge(t)
	v.counts["resends and replays"] = int(tr.load.wishes.Load())
	if out, err := tr.tool("cluster", "fingerprint"); err != nil {
		v.wrong("the nodes do not hold the same state: %v\n%s", err, out)
	}
	folders := []string{"check", "--compare"}
	for _, n := range tr.nodes {
		if err := n.stop(); err != nil {
			v.wrong("%v", err)
		}
		folders = append(folders, n.data)
	}
	if out, err := tr.tool(folders...); err != nil {
		v.wrong("hookwheel check: %v\n%s", err, out)
	}
	for _, n := range tr.nodes {
		v.checkNodeLog(n)
	}
	if err := tr.history.close(); err != nil {
		t.Error(err)
	}
	return v
}

// judge checks what happened against what the nodes hold, until nothing is wrong: the last attempts
// are recorded a moment after they arrived, and applied on each node a moment after that.
func (tr *trial) judge(t *testing.T) (v *verdict) {
	t.Helper()
	var failure error
	err := wait.Until(patience, "the checker finds nothing wrong", func() bool {
		var f *final
		f, failure = tr.collect()
		v = check(tr.history.copied(), tr.receiver.endpoints, f)
		return failure == nil && len(v.violations) == 0
	})
	if err != nil {
		t.Error(errors.Join(err, failure))
	}
	return v
}

// resumeAll says to the nodes what an operator would: that all endpoints are well again, so that
// those which are parked need not wait for their next probe.
func (tr *trial) resumeAll(t *testing.T) {
	for _, e := range tr.receiver.endpoints {
		status, text, err := tr.call(0, "POST", "/app/"+e.app+"/endpoint/"+e.uid+"/resume", nil, nil)
		if err != nil || status != http.StatusOK {
			t.Errorf("resuming %s: %d %s, %v", e.uid, status, text, err)
		}
	}
}

// waits reports whether events are yet to be delivered, and can be. Those that have left the log
// can't, which is right only when hours have passed.
func (tr *trial) waits() bool {
	pending := tr.history.pending(tr.receiver.endpoints)
	if tr.passed.Load() == 0 {
		return len(pending) > 0
	}
	told := tr.history.acknowledged()
	return slices.ContainsFunc(pending, func(event int) bool { return !tr.gone(event, told[event]) })
}

// gone reports whether the first node does not find a message.
func (tr *trial) gone(event int, id string) bool {
	status, _, err := tr.call(0, "GET", "/app/"+appOf(event)+"/msg/"+id, nil, nil)
	return id != "" && err == nil && status == http.StatusNotFound
}

// checkNodeLog looks for lines that a log must never have.
func (v *verdict) checkNodeLog(n *node) {
	text, err := os.ReadFile(n.log)
	if err != nil {
		v.wrong("%v", err)
	}
	for _, words := range []string{"panic: ", "WARNING: DATA RACE", token, secret} {
		if strings.Contains(string(text), words) {
			v.wrong("the log of %s has %q", n.name, words)
		}
	}
}

// collect reads what the nodes hold.
func (tr *trial) collect() (*final, error) {
	f := &final{logs: make([]map[string][]string, len(tr.nodes)), bounded: tr.bounded, leaps: tr.passed.Load() > 0}
	for i := range tr.nodes {
		f.logs[i] = make(map[string][]string)
		for _, app := range []string{"app0", "app1"} {
			err := tr.pages(i, "/app/"+app+"/msg", func(item item) { f.logs[i][app] = append(f.logs[i][app], item.ID) })
			if err != nil {
				return nil, err
			}
			slices.Reverse(f.logs[i][app]) // the newest came first
		}
	}
	for _, e := range tr.receiver.endpoints {
		recorded, following := make(map[string]int), make(map[string]item)
		err := tr.pages(0, "/app/"+e.app+"/attempt/endpoint/"+e.uid, func(a item) { // the newest comes first
			recorded[a.MsgID]++
			if after, is := following[a.MsgID]; is && a.NextAttempt != nil && after.TriggerType == 0 {
				f.retries = append(f.retries, after.Timestamp.Sub(*a.NextAttempt))
			}
			following[a.MsgID] = a
		})
		if err != nil {
			return nil, err
		}
		f.attempts = append(f.attempts, recorded)
		expired, err := tr.expired(e.app, e.uid)
		if err != nil {
			return nil, err
		}
		f.expired = append(f.expired, expired)
	}
	return f, nil
}

// item is a message or an attempt.
type item struct {
	ID, MsgID   string
	Timestamp   time.Time
	NextAttempt *time.Time
	TriggerType int // 0: by the schedule
}

// pages goes through a list.
func (c *cluster) pages(i int, path string, see func(item)) error {
	next := ""
	for {
		var page struct {
			Data     []item
			Iterator string
			Done     bool
		}
		status, text, err := c.call(i, "GET", path+"?limit=250"+next, nil, &page)
		if err != nil || status != 200 {
			return fmt.Errorf("GET %s: %d %s, %w", path, status, text, err)
		}
		for _, item := range page.Data {
			see(item)
		}
		if page.Done || page.Iterator == "" {
			return nil
		}
		next = "&iterator=" + page.Iterator
	}
}

// report fails the test if anything is wrong, and says what happened.
func (tr *trial) report(t *testing.T, v *verdict) {
	t.Helper()
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "fault\tcount\tnext 202: min\tmedian\tmax\tall well: median\t")
	byKind := make(map[string][]fault)
	for _, f := range tr.history.faults {
		byKind[f.Kind] = append(byKind[f.Kind], f)
	}
	for _, kind := range sortedKinds() {
		list := byKind[kind]
		if len(list) == 0 {
			continue
		}
		var next, well []time.Duration
		for _, f := range list {
			next, well = append(next, f.Next), append(well, f.Well.Sub(f.Start))
		}
		slices.Sort(next)
		slices.Sort(well)
		round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\t\n", kind, len(list), round(next[0]), round(next[len(next)/2]), round(next[len(next)-1]), round(well[len(well)/2]))
	}
	table.Flush()
	var names []string
	for name := range v.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "%8d %s\n", v.counts[name], name)
	}
	t.Logf("%d faults\n%s", len(tr.history.faults), out.String())
	for _, violation := range v.violations {
		t.Error(violation)
	}
}

func sortedKinds() (names []string) {
	for name := range harms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestFaults injects faults of all kinds under load, and then runs the checker.
func TestFaults(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	s := setup{tls: *tlsFlag, disks: canMount(), clocks: *clocksFlag, nodes: *nodesFlag, nonVoters: *nonVoterFlag}
	t.Logf("seed %d; nodes have disks of their own, which can fail: %t; clocks can jump: %t; TLS: %t", seed, s.disks, s.clocks, s.tls)
	tr := newTrial(t, s)
	tr.produce(t, false)
	n := &nemesis{cluster: tr.cluster, history: tr.history, random: rand.New(rand.NewPCG(seed, seed))}
	if *kindsFlag != "" {
		n.only = strings.Split(*kindsFlag, ",")
	}
	for end := time.Now().Add(*durationFlag); time.Now().Before(end) || len(tr.history.faults) < *faultsFlag; {
		f, err := n.strike()
		t.Logf("%s %v: next 202 after %s, all well after %s", f.Kind, f.Nodes, f.Next.Round(time.Millisecond), f.Well.Sub(f.Start).Round(time.Millisecond))
		if err != nil {
			t.Errorf("%s of %v: %v", f.Kind, f.Nodes, err)
			break
		}
	}
	tr.report(t, tr.finish(t))
}
