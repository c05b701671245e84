package abuse

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const (
	bystanderPace    = 100 * time.Millisecond // between two events of one sender
	measuredPace     = 10 * time.Millisecond  // if there are several turns
	bystanderSenders = 3

	// bystanderVariable makes the test binary the bystander when it is 1.
	bystanderVariable = "TEST_RUNS_BYSTANDER"
)

// bystander is another customer, and its producer, with an endpoint in good health. It sends events
// from the beginning to the end. It is a process of its own, so that what it measures is not how
// busy the attacker is.
type bystander struct {
	w     *world
	calls *rpc.Client // of a Measurement
	stop  func()
}

// pipes are the input and the output of the bystander's process.
type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error {
	_ = p.ReadCloser.Close()
	return p.WriteCloser.Close()
}

func newBystander(w *world) *bystander {
	cmd := process.Command(process.Context(w.t))
	cmd.Env = append(cmd.Env, bystanderVariable+"=1")
	cmd.Stderr = os.Stderr
	p, err := pipesTo(cmd)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	b := &bystander{w: w, calls: rpc.NewClient(p)}
	t := w.t
	b.stop = sync.OnceFunc(func() { // when its input ends, so does the process
		if err := errors.Join(b.calls.Close(), cmd.Wait()); err != nil {
			t.Errorf("the bystander: %v", err)
		}
	})
	w.t.Cleanup(b.stop)
	var url string
	b.call("Listen", 0, &url)
	w.must("POST", "/app", `{"name": "bystander", "uid": "bystander"}`, nil)
	w.must("POST", "/app/bystander/endpoint", fmt.Sprintf(`{"uid": "e", "url": %q}`, url), nil)
	source := Source{Token: w.producer, Interval: bystanderPace}
	if *turnsFlag > 1 {
		source.Interval = measuredPace
	}
	for _, n := range w.nodes {
		source.Nodes = append(source.Nodes, w.url(n))
	}
	b.call("Produce", source, new(int))
	return b
}

func pipesTo(cmd *exec.Cmd) (p pipes, err error) {
	if p.WriteCloser, err = cmd.StdinPipe(); err != nil {
		return p, err
	}
	p.ReadCloser, err = cmd.StdoutPipe()
	return p, err
}

func (b *bystander) call(method string, argument, reply any) {
	b.w.t.Helper()
	if err := b.calls.Call("Measurement."+method, argument, reply); err != nil {
		b.w.t.Fatalf("the bystander: %v", err)
	}
}

// begin forgets what was measured.
func (b *bystander) begin() {
	b.w.t.Helper()
	b.call("Begin", 0, new(int))
}

// end waits until what was acknowledged has arrived and returns what was measured since begin.
func (b *bystander) end() (l latencies, faults []string) {
	b.w.t.Helper()
	var report Report
	b.call("End", 0, &report)
	l.post, l.postWorst = percentile(report.Posts)
	l.arrival, l.arrivalWorst = percentile(report.Arrivals)
	return l, report.Faults
}

// runBystander is the main function of the bystander's process.
func runBystander() (code int) {
	m := &Measurement{waiting: make(map[int]bool), early: make(map[int]bool), over: make(chan struct{})}
	server := rpc.NewServer()
	if err := server.Register(m); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	server.ServeConn(pipes{os.Stdin, os.Stdout})
	close(m.over)
	m.senders.Wait()
	return 0
}

// Measurement is what the bystander's process does.
type Measurement struct {
	over    chan struct{}
	senders sync.WaitGroup
	client  http.Client
	source  Source

	mu      sync.Mutex
	sent    []time.Time // by number of the event
	report  Report
	waiting map[int]bool // acknowledged, and yet to arrive
	early   map[int]bool // arrived before the 202
}

// Source is where events are sent to, and how often.
type Source struct {
	Nodes    []string      // URLs
	Token    string        // of a producer
	Interval time.Duration // of each sender
}

// Report is what was measured.
type Report struct {
	Posts, Arrivals []time.Duration
	Faults          []string
}

// Listen starts the receiver, which ends with the process, and returns its URL.
func (m *Measurement) Listen(_ int, url *string) error {
	*url = httptest.NewServer(http.HandlerFunc(m.take)).URL
	return nil
}

// Produce starts the senders.
func (m *Measurement) Produce(source Source, _ *int) error {
	m.source = source
	m.client = http.Client{Timeout: callLimit, Transport: &http.Transport{TLSClientConfig: anyServer}}
	for i := range bystanderSenders {
		m.senders.Go(func() { m.produce(i) })
	}
	return nil
}

func (m *Measurement) produce(sender int) {
	pace := time.NewTicker(m.source.Interval)
	defer pace.Stop()
	for i := sender; ; i++ {
		select {
		case <-pace.C:
			m.post(m.source.Nodes[i%len(m.source.Nodes)])
		case <-m.over:
			return
		}
	}
}

func (m *Measurement) post(node string) {
	m.mu.Lock()
	event := len(m.sent)
	begin := time.Now()
	m.sent = append(m.sent, begin)
	m.mu.Unlock()
	err := m.send(node, event)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Posts = append(m.report.Posts, time.Since(begin))
	switch {
	case err != nil:
		m.report.Faults = append(m.report.Faults, fmt.Sprintf("event %d: %v", event, err))
	case !m.early[event]:
		m.waiting[event] = true
	}
}

func (m *Measurement) send(node string, event int) error {
	body := fmt.Sprintf(`{"eventType": "a.b", "payload": {"event": %d}}`, event)
	request, err := http.NewRequest("POST", node+"/api/v1/app/bystander/msg", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+m.source.Token)
	response, err := m.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%d %.300s", response.StatusCode, text)
	}
	return err
}

// take notes an event that arrives.
func (m *Measurement) take(_ http.ResponseWriter, r *http.Request) {
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	var event int
	if err == nil {
		_, err = fmt.Sscanf(string(body), `{"event": %d}`, &event)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil || event >= len(m.sent):
		m.report.Faults = append(m.report.Faults, "not what was sent arrived: "+strconv.Quote(string(body)))
	case !m.early[event]: // not again
		m.early[event] = true
		delete(m.waiting, event)
		m.report.Arrivals = append(m.report.Arrivals, at.Sub(m.sent[event]))
	}
}

// Begin forgets what was measured.
func (m *Measurement) Begin(int, *int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report = Report{}
	return nil
}

// End waits until what was acknowledged has arrived and returns what was measured since Begin.
func (m *Measurement) End(_ int, report *Report) error {
	m.mu.Lock()
	last := len(m.sent)
	m.mu.Unlock()
	err := wait.Until(wait.Patience, "the bystander's events arrive", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for event := range m.waiting {
			if event < last {
				return false
			}
		}
		return true
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	*report = m.report
	return err
}

// latencies of a stretch of time.
type latencies struct{ post, postWorst, arrival, arrivalWorst time.Duration }

// turns are the latencies of several stretches.
type turns []latencies

// median returns the median of a latency; of an even number of turns, the higher one of two.
func (t turns) median(of func(latencies) time.Duration) time.Duration {
	if len(t) == 0 {
		return 0
	}
	all := make([]time.Duration, len(t))
	for i, l := range t {
		all[i] = of(l)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// percentile returns the 99th, and the worst.
func percentile(all []time.Duration) (p99, worst time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)-1)*99/100], all[len(all)-1]
}
