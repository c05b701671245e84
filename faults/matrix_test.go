//go:build linux

package faults

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

var matrixFlag = flag.Float64("matrix", 0, "how many times max_size TestDiskMatrix writes in each case; 0: one short case")

const (
	matrixDisk    = 2 << 30
	matrixWriters = 4
	matrixBatch   = 4 << 20                // bytes of events, about
	matrixWanted  = 10                     // of so many events one is delivered
	matrixSample  = 200 * time.Millisecond // between two looks at the nodes
	matrixRecall  = 50                     // looks that are remembered
	matrixSlack   = 192                    // MiB by which what a refusal says may differ from what was seen around that time
)

// matrixCase is a kind of load on nodes with small disks.
type matrixCase struct {
	nodes, event, tenths int // event: bytes; tenths of the disk are its max_size
	disk                 int64
	times                float64 // that max_size is written
}

// TestDiskMatrix fills small disks with events of some sizes for as long as it takes to write
// max_size several times, and prints what each case took. No node ends, each refusal tells the
// truth, and the data folders keep within their documented limit. TMPDIR says where the disks'
// images are.
func TestDiskMatrix(t *testing.T) {
	if !canMount() {
		t.Skip("it needs root, mkfs.ext4 and loop devices")
	}
	if *matrixFlag == 0 {
		matrixCase{nodes: 1, event: 100 << 10, tenths: 9, disk: 640 << 20, times: 0.4}.run(t)
		return
	}
	for _, nodes := range []int{1, 3} {
		for _, event := range []int{1 << 10, 100 << 10, 1 << 20} {
			for _, tenths := range []int{1, 5, 9} {
				t.Run(fmt.Sprintf("nodes=%d/KiB=%d/tenths=%d", nodes, event>>10, tenths), func(t *testing.T) {
					matrixCase{nodes, event, tenths, matrixDisk, *matrixFlag}.run(t)
				})
			}
		}
	}
}

func (m matrixCase) maxSize() int64 { return m.disk / 10 * int64(m.tenths) }

// matrix is a case under way.
type matrix struct {
	*cluster
	of      matrixCase
	noise   string
	empty   []int64 // bytes that a disk without a node has in use
	next    atomic.Int64
	arrived atomic.Int64

	mu       sync.Mutex
	written  int64            // bytes of accepted events
	wanted   int64            // events of them that are delivered
	accepted time.Time        // when the last batch was
	refusals map[string]int   // by their reason
	peaks    map[string]int64 // bytes
	seen     []map[string]int64
}

func (m matrixCase) run(t *testing.T) {
	s := setup{nodes: m.nodes, disks: true, diskSize: m.disk, storage: fmt.Sprintf("  max_size = %d", m.maxSize())}
	x := &matrix{cluster: newCluster(t, s, t.TempDir()), of: m, refusals: make(map[string]int), peaks: make(map[string]int64)}
	noise := make([]byte, 3<<20)
	_, _ = rand.Read(noise) // never fails
	x.noise = base64.StdEncoding.EncodeToString(noise)
	x.http.Timeout = patience // a batch may take longer than one event
	x.begin()
	begin, over := time.Now(), make(chan struct{})
	var watch, writers sync.WaitGroup
	watch.Go(func() { x.watch(over) })
	for i := range matrixWriters {
		writers.Go(func() { x.write(i % m.nodes) })
	}
	writers.Wait()
	took := time.Since(begin)
	if err := wait.Until(x.patience, "all events are delivered", func() bool { return x.arrived.Load() >= x.wanted || t.Failed() }); err != nil {
		t.Error(err)
	}
	close(over)
	watch.Wait()
	x.end()
	t.Logf("%.1f times max_size = %d MiB written in %s; peaks in MiB: folder %d (at most %d), RssAnon %d, RssFile %d; refusals: %v",
		float64(x.written)/float64(m.maxSize()), x.written>>20, took.Round(time.Second), x.peaks["folder"]>>20, x.of.limit()>>20,
		x.peaks["RssAnon:"]>>20, x.peaks["RssFile:"]>>20, x.refusals)
}

// limit is what docs/operations.md says that a data folder takes at most.
func (m matrixCase) limit() int64 { return m.maxSize()*5/2 + 512<<20 }

// begin starts the nodes, with an endpoint that responds at once.
func (x *matrix) begin() {
	t := x.t
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			x.arrived.Add(1)
		}
	}))
	t.Cleanup(receiver.Close)
	for i, n := range x.nodes {
		used, _, err := n.disk.space()
		if err == nil {
			err = x.start(i)
		}
		if err != nil {
			t.Fatal(err)
		}
		x.empty = append(x.empty, used)
	}
	if _, err := x.awaitWell(); err != nil {
		t.Fatal(err)
	}
	for _, call := range []struct {
		method, path string
		body         map[string]any
	}{
		{"PUT", "/event-type/wanted", map[string]any{"description": ""}},
		{"POST", "/app", map[string]any{"name": scene, "uid": scene}},
		{"POST", "/app/" + scene + "/endpoint", map[string]any{"url": receiver.URL, "eventTypes": []string{"wanted"}}},
	} {
		if status, text, err := x.call(0, call.method, call.path, call.body, nil); err != nil || status >= 300 {
			t.Fatalf("%s %s: %d %s, %v", call.method, call.path, status, text, err)
		}
	}
	x.accepted = time.Now()
}

// write sends batches to a node, each until it is accepted, until enough is written.
func (x *matrix) write(node int) {
	for x.more() {
		body, wanted, size := x.batch()
		key := "batch-" + strconv.FormatInt(x.next.Add(1), 10)
		for accepted := false; !accepted && !x.t.Failed(); {
			status, text, err := x.callWithKey(node, "POST", "/app/"+scene+"/msg/batch", key, json.RawMessage(body), nil)
			if accepted = err == nil && status == http.StatusAccepted; accepted {
				x.accept(wanted, size)
			} else {
				x.refused(status, text, err)
				time.Sleep(matrixSample)
			}
		}
	}
}

func (x *matrix) more() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return float64(x.written) < x.of.times*float64(x.of.maxSize()) && !x.t.Failed()
}

// batch makes events that are of no use to a compression. Some of them are delivered.
func (x *matrix) batch() (body []byte, wanted, size int64) {
	count := max(1, min(1000, matrixBatch/x.of.event))
	length := x.of.event - 256 // without what is around it
	var text bytes.Buffer
	for i := range count {
		number := x.next.Add(1)
		kind := "unwanted"
		if number%matrixWanted == 0 {
			kind = "wanted"
			wanted++
		}
		from := int(number * 7919 % int64(len(x.noise)-length))
		fmt.Fprintf(&text, `%c{"eventType": %q, "payload": {"noise": %q}}`, "[,"[min(i, 1)], kind, x.noise[from:from+length])
	}
	text.WriteByte(']')
	return text.Bytes(), wanted, int64(count * x.of.event)
}

func (x *matrix) accept(wanted, size int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.written += size
	x.wanted += wanted
	x.accepted = time.Now()
}

// refused judges a response that is not 202. It may not last, and what it says must be so.
func (x *matrix) refused(status int, text []byte, err error) {
	var problem struct{ Code, Detail string }
	if err == nil {
		err = json.Unmarshal(text, &problem)
	}
	reason := strconv.Itoa(status)
	switch {
	case err != nil:
		x.t.Errorf("a batch: %d %.300s, %v", status, text, err)
	case status == http.StatusInsufficientStorage:
		reason = x.judge(problem.Detail)
	case status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable:
		x.t.Errorf("a batch: %d %.300s", status, text)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refusals[reason]++
	if waits := time.Since(x.accepted); waits > x.patience {
		x.t.Errorf("nothing was accepted for %s; the last response is %d %s", waits.Round(time.Second), status, text)
	}
}

// claims are what a 507 may say: that the first number, MiB of what is named, is beyond the second.
var claims = []struct {
	name string
	text *regexp.Regexp
	less bool // it is too little
}{
	{"folder", regexp.MustCompile(`data folder takes (\d+) MiB for a storage.max_size of (\d+) MiB`), false},
	{"free", regexp.MustCompile(`has (\d+) MiB free, less than (?:the|its storage.min_free of) (\d+) MiB`), true},
	{"records", regexp.MustCompile(`records take (\d+) MiB, more than the storage.max_size of (\d+) MiB`), false},
	{"share", regexp.MustCompile(`share of storage.max_size \((\d+) of (\d+) MiB`), false},
}

// judge compares what a 507 says with what is seen at the nodes, and returns what it is about.
func (x *matrix) judge(detail string) (about string) {
	for _, claim := range claims {
		numbers := claim.text.FindStringSubmatch(detail)
		if numbers == nil {
			continue
		}
		said, _ := strconv.ParseInt(numbers[1], 10, 64)
		limit, _ := strconv.ParseInt(numbers[2], 10, 64)
		if claim.name == "share" { // its records take what it says is used up
			claim.name, said = "records", limit
		}
		beyond := claim.less && said < limit || !claim.less && said >= limit
		seen := x.recall(claim.name)
		for _, mib := range seen {
			if beyond && mib >= said-matrixSlack && mib <= said+matrixSlack {
				return claim.name
			}
		}
		x.t.Errorf("it is not so that %q: %s was %d MiB", detail, claim.name, seen)
		return claim.name
	}
	if strings.Contains(detail, "the disk of n") { // another node than the leader
		return "follower"
	}
	x.t.Errorf("a 507 says %q", detail)
	return "unknown"
}

// recall returns what a measure of the nodes has been lately and is now, in MiB.
func (x *matrix) recall(what string) (mib []int64) {
	x.look()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, measures := range x.seen {
		mib = append(mib, measures[what]>>20)
	}
	return mib
}

// look measures each node.
func (x *matrix) look() {
	for i, n := range x.nodes {
		used, free, err := n.disk.space()
		var health struct{ StoreBytes int64 }
		if err == nil {
			_, _, err = x.call(i, "GET", "/health", nil, &health)
		}
		if err != nil {
			x.t.Error(err)
		}
		used -= x.empty[i]
		x.peak("folder", used)
		x.mu.Lock()
		x.seen = append(x.seen, map[string]int64{"folder": used, "free": free, "records": health.StoreBytes})
		if recall := matrixRecall * len(x.nodes); len(x.seen) > recall {
			x.seen = x.seen[len(x.seen)-recall:]
		}
		x.mu.Unlock()
	}
}

// watch notes the most that any node takes of its disk and of memory, until over is closed.
func (x *matrix) watch(over <-chan struct{}) {
	tick := time.NewTicker(matrixSample)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			x.sample()
		case <-over:
			x.sample()
			return
		}
	}
}

func (x *matrix) sample() {
	for _, n := range x.nodes {
		if !n.alive() {
			x.t.Errorf("%s has ended: %v", n.name, n.process.Load().Cmd.ProcessState)
			return
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.process.Load().Cmd.Process.Pid))
		if err != nil {
			x.t.Error(err)
		}
		for line := range strings.Lines(string(status)) {
			if f := strings.Fields(line); len(f) == 3 && strings.HasPrefix(f[0], "Rss") {
				kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
				x.peak(f[0], kilobytes<<10)
			}
		}
	}
	x.look()
}

func (x *matrix) peak(what string, bytes int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.peaks[what] = max(x.peaks[what], bytes)
}

// end stops the nodes and judges what they leave.
func (x *matrix) end() {
	if x.peaks["folder"] > x.of.limit() {
		x.t.Errorf("a data folder took %d MiB, more than %d MiB", x.peaks["folder"]>>20, x.of.limit()>>20)
	}
	for _, n := range x.nodes {
		if err := n.stop(); err != nil {
			x.t.Error(err)
		}
		if out, err := x.tool("check", n.data); err != nil {
			x.t.Errorf("hookwheel check: %v\n%s", err, out)
		}
	}
}
