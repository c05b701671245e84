package abuse

import (
	"bytes"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"hookwheel/cli"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

var (
	abuseFlag = flag.String("abuse", "short", `"long": larger and longer abuses, and a table`)
	seedFlag  = flag.Uint64("seed", 1, "seed of the random requests")
	turnsFlag = flag.Int("turns", 1, "how often each abuse happens; from 2 on, each time a while without it is measured before")
)

// What must hold beside any abuse. Times are loose, since the machine may be busy; the long form's
// table has them.
const (
	memoryLimit = 1 << 30 * memoryFactor
	worstPost   = 5 * time.Second * timeFactor
)

// turnLength is for how long a turn without an abuse is measured, and for how long the abuse is
// repeated in a turn with it.
const turnLength = 3 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(bystanderVariable) == "1" {
		os.Exit(runBystander())
	}
	process.Main(m, func() int { return cli.Main("test") })
}

// long is by how much an abuse is larger in the long form.
func long(short, long int) int {
	if *abuseFlag == "long" {
		return long
	}
	return short
}

// abuse is one thing that somebody does.
type abuse struct {
	name      string
	attack    func(w *world)
	responses []int // the statuses that its calls may have; 0: the connection was closed
}

// result is a line of the report.
type result struct {
	name          string
	responses     map[int]int
	took          time.Duration // a turn, at most
	all           time.Duration // the turns together
	cpu           cpu           // in them
	memory        memory        // of the node that had most
	without, with turns
}

func TestAbuse(t *testing.T) {
	all := func(lists ...[]abuse) []abuse { return slices.Concat(lists...) }
	worlds := map[string]struct {
		size   int
		secure bool
		abuses []abuse
	}{
		"cluster": {3, false, all(controls(), customerAbuses, readerAbuses, growthAbuses, producerAbuses, strangerAbuses, peerAbuses, localAbuses)},
		"node":    {1, false, all(nodeAbuses, strangerAbuses)},
		"secure":  {1, true, all(tlsAbuses, strangerAbuses[:4])}, // without random requests, each of which would be a handshake,
	}
	for _, name := range []string{"cluster", "node", "secure"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, worlds[name].size, worlds[name].secure)
			quiet := w.quiet()
			var results []result
			for _, a := range worlds[name].abuses {
				t.Run(a.name, func(t *testing.T) { results = append(results, w.suffer(t, a, quiet)) })
				w.t = t
			}
			w.finish(quiet)
			report(t, results)
		})
	}
}

// controls are no abuses: with several turns, they show what the machine does to the figures.
func controls() []abuse {
	if *turnsFlag == 1 {
		return nil
	}
	return []abuse{
		{"nothing (control)", func(*world) { time.Sleep(turnLength) }, nil},
		{"another program that takes a processor (control)", takeProcessor, nil},
		{"others that take all, of equal priority (control)", takeProcessors, nil},
	}
}

func takeProcessor(*world) {
	text := make([]byte, 1<<10)
	for begin := time.Now(); time.Since(begin) < turnLength; {
		sum := sha256.Sum256(text)
		copy(text, sum[:])
	}
}

// takeProcessors has as many programs as there are processors take what a node would, which is a
// fair share.
func takeProcessors(w *world) {
	each(runtime.NumCPU(), runtime.NumCPU(), func(int) {
		ctx, cancel := context.WithTimeout(process.Context(w.t), turnLength)
		defer cancel()
		program := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		if err := program.Start(); err != nil {
			w.t.Error(err)
			return
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, program.Process.Pid, 0); err != nil {
			w.t.Log(err) // then it has the attacker's, or is over
		}
		_ = program.Wait() // it is killed
	})
}

// state is what a world is like without any abuse.
type state struct {
	latencies latencies
	memory    []memory // of the nodes
}

// quiet measures the world without an abuse.
func (w *world) quiet() (s state) {
	peaks := w.watchMemory() // which costs something, as it does beside an abuse
	w.bystander.begin()
	time.Sleep(turnLength)
	s.latencies, _ = w.bystander.end()
	peaks()
	for _, n := range w.nodes {
		s.memory = append(s.memory, n.mustMemory(w.t))
	}
	return s
}

// suffer runs an abuse as often as there are turns, and judges what everybody else has of it.
func (w *world) suffer(t *testing.T, a abuse, quiet state) result {
	t.Helper()
	r := result{name: a.name}
	clear(w.responses)
	for turn := range *turnsFlag {
		w.t = t
		without := quiet.latencies
		if *turnsFlag > 1 {
			without = w.quiet().latencies
		}
		r.without = append(r.without, without)
		t.Run(fmt.Sprint("turn ", turn+1), func(t *testing.T) { // which ends with what the abuse has open
			w.t = t
			w.sufferTurn(a, &r)
		})
	}
	w.t = t
	w.mu.Lock()
	defer w.mu.Unlock()
	r.responses = maps.Clone(w.responses)
	for status, count := range r.responses {
		if !slices.Contains(a.responses, status) {
			t.Errorf("%d calls were answered with %d", count, status)
		}
	}
	return r
}

func (w *world) sufferTurn(a abuse, r *result) {
	t := w.t
	t.Helper()
	peaks := w.watchMemory()
	w.bystander.begin()
	restore := w.yieldProcessors()
	defer restore()
	begin, before := time.Now(), w.cpu()
	for a.attack(w); *turnsFlag > 1 && time.Since(begin) < turnLength && !t.Failed(); {
		a.attack(w)
	}
	took := time.Since(begin)
	r.took, r.all, r.cpu = max(r.took, took), r.all+took, r.cpu.plus(w.cpu().since(before))
	w.awaitWell()
	with, faults := w.bystander.end()
	r.with = append(r.with, with)
	for _, n := range w.nodes {
		if !n.process.IsAlive() {
			t.Fatalf("%s has ended: %v", n.name, n.process.Cmd.ProcessState)
		}
	}
	r.memory = r.memory.max(peaks())
	if len(faults) > 0 {
		t.Errorf("%d faults of the bystander's, such as %s", len(faults), faults[0])
	}
	if with.postWorst > worstPost {
		t.Errorf("a POST of the bystander's took %s", with.postWorst)
	}
	if r.memory.own > memoryLimit {
		t.Errorf("a node took %d MiB, without what it maps of the store's files", r.memory.own>>20)
	}
}

// finish judges what all abuses together have left.
func (w *world) finish(quiet state) {
	w.t.Helper()
	w.awaitWell()
	if len(w.nodes) > 1 {
		if out, err := w.tool("cluster", "fingerprint"); err != nil {
			w.t.Errorf("the nodes do not hold the same state: %v\n%s", err, out)
		}
	}
	for i, n := range w.nodes {
		var own int64
		before := quiet.memory[i].own
		err := wait.Until(wait.Patience, n.name+" has given memory back", func() bool {
			own = n.mustMemory(w.t).own
			return own <= rested(before)
		})
		w.t.Logf("%s: %d MiB before, %d MiB after", n.name, before>>20, own>>20)
		if err != nil {
			w.t.Error(err)
		}
	}
	if w.secure {
		w.neverRead()
	}
	for _, n := range w.nodes { // in turn, while the others serve
		if code := n.process.Stop(w.t); code != 0 {
			w.t.Errorf("%s ended with %d after SIGTERM", n.name, code)
		}
		w.start(n)
		w.awaitWell()
	}
	w.bystander.begin()
	time.Sleep(time.Second) // in which the bystander posts
	if _, faults := w.bystander.end(); len(faults) > 0 {
		w.t.Errorf("after the restart: %s", faults[0])
	}
	w.check()
	w.searchLogs()
}

// rested is what a node may take a while after the abuses.
func rested(before int64) int64 { return before + 512<<20*memoryFactor }

// check stops the nodes and has their folders checked.
func (w *world) check() {
	w.t.Helper()
	w.bystander.stop()
	args := []string{"check"}
	if len(w.nodes) > 1 {
		args = append(args, "--compare")
	}
	for _, n := range w.nodes {
		n.process.Stop(w.t)
		args = append(args, n.data)
	}
	if out, err := w.tool(args...); err != nil {
		w.t.Errorf("hookwheel check: %v\n%s", err, out)
	}
}

// searchLogs looks for what nobody may read in a log.
func (w *world) searchLogs() {
	w.t.Helper()
	for _, path := range w.logs {
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, secret := range w.secrets {
			if i := bytes.Index(text, []byte(secret)); i >= 0 {
				line := text[max(0, i-200):min(len(text), i+100)]
				w.t.Errorf("a token or secret is in a log: …%s…", line)
			}
		}
	}
	w.t.Logf("none of %d tokens and secrets is in a log", len(w.secrets))
}

func percent(part, whole time.Duration) float64 { return 100 * float64(part) / float64(max(whole, 1)) }

// report prints what each abuse cost.
func report(t *testing.T, results []result) {
	t.Helper()
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "abuse\tresponses\ttook\tCPU: nodes\ttest\tMiB: own\tmapped\tPOST p99: without\twith\tratio\tarrival p99: without\twith\tratio")
	post := func(l latencies) time.Duration { return l.post }
	arrival := func(l latencies) time.Duration { return l.arrival }
	for _, r := range results {
		var responses []string
		for _, status := range slices.Sorted(maps.Keys(r.responses)) {
			responses = append(responses, fmt.Sprintf("%d×%d", r.responses[status], status))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f%%\t%.0f%%\t%d\t%d", r.name, strings.Join(responses, " "), r.took.Round(100*time.Millisecond),
			percent(r.cpu.nodes, r.all), percent(r.cpu.test, r.all), r.memory.own>>20, r.memory.mapped>>20)
		for _, of := range []func(latencies) time.Duration{post, arrival} {
			without, with := r.without.median(of), r.with.median(of)
			fmt.Fprintf(table, "\t%s\t%s\t%.1f", without.Round(100*time.Microsecond), with.Round(100*time.Microsecond), float64(with)/float64(max(without, 1)))
		}
		fmt.Fprintln(table)
	}
	table.Flush()
	t.Log("\n" + out.String())
}
