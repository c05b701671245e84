package systemtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const (
	clusterSize   = 3
	producers     = 8
	maxEvents     = 40_000                // in one test
	producerPause = 5 * time.Millisecond  // the nodes share the machine with others
	failurePause  = 50 * time.Millisecond // a node that is down refuses at once
	loadBetween   = 500                   // acknowledged events from one kill to the next
)

// devCluster is the cluster that dev --nodes 3 runs.
type devCluster struct {
	*process.Process
	*caller
	data string
}

func startDevCluster(t *testing.T) *devCluster {
	t.Helper()
	data, port := t.TempDir(), process.FreePorts(t, clusterSize)
	c := &devCluster{data: data, caller: newCaller(t, port, clusterSize)}
	c.Process = process.Start(t, "dev", "--nodes", strconv.Itoa(clusterSize), "--listen", process.NodeAddress(port, 1),
		"--data", data, "--token", systemToken)
	c.awaitHealth(t, 1, 2, 3)
	return c
}

// pid is that of a node, 0 while it is down.
func (c *devCluster) pid(node int) int {
	text, err := os.ReadFile(filepath.Join(c.data, "n"+strconv.Itoa(node), "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// kill kills nodes, all at once, and waits until dev has started them again.
func (c *devCluster) kill(t *testing.T, nodes ...int) {
	t.Helper()
	before := make([]int, len(nodes))
	for i, node := range nodes {
		if before[i] = c.pid(node); before[i] <= 0 {
			t.Fatalf("n%d has no pid", node)
		}
	}
	for _, pid := range before {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	for i, node := range nodes {
		wait.For(t, fmt.Sprintf("n%d is started again", node), func() bool {
			pid := c.pid(node)
			return pid > 0 && pid != before[i]
		})
	}
}

// load is producers at work.
type load struct {
	wg   sync.WaitGroup
	over atomic.Bool
}

// startLoad posts events to random nodes until it is stopped, each event once.
func startLoad(t *testing.T, c *caller, l *ledger) *load {
	p := new(load)
	for range producers {
		p.wg.Go(func() { p.produce(c, l) })
	}
	t.Cleanup(p.stop)
	return p
}

func (p *load) produce(c *caller, l *ledger) {
	for range maxEvents / producers {
		if p.over.Load() {
			return
		}
		pause := producerPause
		if r := l.post(c, 1+rand.IntN(len(c.nodes))); r.status != http.StatusAccepted {
			pause = failurePause
		}
		time.Sleep(pause)
	}
}

// stop returns when the last call is answered.
func (p *load) stop() {
	p.over.Store(true)
	p.wg.Wait()
}

// awaitMore waits until the producers have come further.
func awaitMore(t *testing.T, l *ledger) {
	t.Helper()
	_, before := l.count()
	wait.For(t, "more events are acknowledged", func() bool {
		_, now := l.count()
		return now >= before+loadBetween
	})
}

// testKills has nodes killed under load, again and again; choose says which, and is told the
// leader.
func testKills(t *testing.T, times int, choose func(leader int) []int) {
	r := newReceiver(t)
	c := startDevCluster(t)
	c.setUp(t, "first", r.url)
	l := newLedger()
	producing := startLoad(t, c.caller, l)
	for range times {
		awaitMore(t, l)
		c.kill(t, choose(c.awaitHealth(t, 1, 2, 3))...)
		c.awaitHealth(t, 1, 2, 3)
	}
	awaitMore(t, l)
	producing.stop()
	checkDelivered(t, l, r)
}

func TestKillLeader(t *testing.T) {
	t.Parallel()
	times := 5
	if testing.Short() {
		times = 1
	}
	testKills(t, times, func(leader int) []int { return []int{leader} })
}

func TestKillAll(t *testing.T) {
	t.Parallel()
	times := 2
	if testing.Short() {
		times = 1
	}
	testKills(t, times, func(int) []int { return []int{1, 2, 3} })
}

// attemptList is a page of attempts.
type attemptList struct {
	Data []struct {
		ID          string
		Status      int
		Number      int
		NextAttempt *time.Time
	}
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	up, later := newReceiver(t), newReceiver(t)
	later.down.Store(true)
	data, port := t.TempDir(), process.FreePorts(t, 1)
	c := newCaller(t, port, 1)
	start := func() *process.Process {
		p := process.Start(t, "dev", "--listen", process.NodeAddress(port, 1), "--data", data, "--token", systemToken)
		c.awaitHealth(t, 1)
		return p
	}
	p := start()
	c.setUp(t, "up", up.url)
	c.setUp(t, "later", later.url)
	l := newLedger()
	for range 20 {
		l.mustPost(t, c, 1)
	}
	checkDelivered(t, l, up)
	message := "/app/demo/attempt/msg/" + l.acknowledged[0]
	wait.For(t, "both attempts are recorded", func() bool {
		var attempts attemptList
		c.must(t, 1, "GET", message, "", 200, &attempts)
		return len(attempts.Data) >= 2
	})
	wait.For(t, "all attempts at the endpoint that is up are recorded", func() bool {
		var health struct{ Health struct{ Behind int } }
		c.must(t, 1, "GET", "/app/demo/endpoint/up", "", 200, &health)
		return health.Health.Behind == 0
	})
	before := c.readAll(t, l)
	if code := p.Stop(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM", code)
	}
	later.down.Store(false)

	start()
	checkSame(t, before, c.readAll(t, l))
	checkAttempts(t, c, message)
	checkDelivered(t, l, later)
	if _, duplicates := up.count(); duplicates > 0 {
		t.Errorf("%d events were delivered again after a clean restart", duplicates)
	}
}

// readAll reads the application, its endpoints and a message, by path.
func (c *caller) readAll(t *testing.T, l *ledger) map[string]reply {
	t.Helper()
	all := make(map[string]reply)
	for _, path := range []string{"/app/demo", "/app/demo/endpoint", "/app/demo/endpoint/up/secret", "/app/demo/msg/" + l.acknowledged[0], "/app/demo/msg"} {
		r, err := c.call(1, "GET", path, "")
		if err != nil || r.status != 200 {
			t.Fatalf("GET %s: %d %s, %v", path, r.status, r.body, err)
		}
		all[path] = r
	}
	return all
}

func checkSame(t *testing.T, before, after map[string]reply) {
	t.Helper()
	for path, r := range before {
		if !bytes.Equal(r.body, after[path].body) {
			t.Errorf("%s was %s and is now %s", path, r.body, after[path].body)
		}
	}
}

// checkAttempts looks for what was attempted before the restart: a success, and a failure to be
// tried again.
func checkAttempts(t *testing.T, c *caller, path string) {
	t.Helper()
	var attempts attemptList
	c.must(t, 1, "GET", path, "", 200, &attempts)
	successes, failures := 0, 0
	for _, a := range attempts.Data {
		switch {
		case a.Status == 0 && a.Number == 1:
			successes++
		case a.Status != 0 && a.Number == 1 && a.NextAttempt != nil:
			failures++
		}
	}
	if successes != 1 || failures != 1 {
		t.Errorf("first attempts: %d succeeded and %d failed, want one of each: %+v", successes, failures, attempts.Data)
	}
}

// serveConfig is the shipped example, for a node of a cluster on this machine.
func serveConfig(t *testing.T, node, port int, data string) string {
	t.Helper()
	example, err := os.ReadFile(filepath.Join("..", "config.example.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	source := string(example)
	changes := []string{
		`env("HOOKWHEEL_NODE", "n1")`, fmt.Sprintf(`"n%d"`, node),
		`env("HOOKWHEEL_DATA", "/var/lib/hookwheel")`, strconv.Quote(data),
		`env("HOOKWHEEL_LISTEN", "127.0.0.1:8081")`, fmt.Sprintf(`"127.0.0.1:%d"`, port+node-1),
		`env("HOOKWHEEL_TOKEN")`, strconv.Quote(systemToken),
		`env("HOOKWHEEL_SECRET")`, strconv.Quote("0123456789abcdef0123456789abcdef"),
		`# allow = []`, `allow = ["127.0.0.0/8"]`,
	}
	for i := 1; i <= clusterSize; i++ {
		changes = append(changes, fmt.Sprintf("127.0.0.1:%d", 9080+i), process.PeerAddress(port, i))
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(source, changes[i]) {
			t.Fatalf("config.example.hcl no longer has %s", changes[i])
		}
	}
	return writeConfig(t, strings.NewReplacer(changes...).Replace(source))
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestServeCluster(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	port := process.FreePorts(t, clusterSize)
	c := newCaller(t, port, clusterSize)
	configs, processes := make([]string, clusterSize+1), make([]*process.Process, clusterSize+1)
	for node := 1; node <= clusterSize; node++ {
		configs[node] = serveConfig(t, node, port, t.TempDir())
		processes[node] = process.Start(t, "serve", "--config", configs[node])
	}
	leader := c.awaitHealth(t, 1, 2, 3)
	c.setUp(t, "first", r.url)
	l := newLedger()
	for node := 1; node <= clusterSize; node++ { // followers forward
		l.mustPost(t, c, node)
	}

	others := []int{1 + leader%clusterSize, 1 + (leader+1)%clusterSize}
	if code := processes[leader].Stop(t); code != 0 {
		t.Errorf("exit code %d of the leader after SIGTERM", code)
	}
	for _, node := range others { // without waiting: a call is held until there is a leader
		l.mustPost(t, c, node)
	}
	c.awaitHealth(t, others...)

	process.Start(t, "serve", "--config", configs[leader])
	c.awaitHealth(t, 1, 2, 3)
	l.mustPost(t, c, leader)
	checkDelivered(t, l, r)
}
