package systemtest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/collector"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// parents returns the values of traceparent in the requests with a message.
func parents(r *receivertest.Receiver, message string) (list []string) {
	for _, a := range r.Arrivals() {
		if a.ID == message {
			list = append(list, strings.Join(a.Header.Values("traceparent"), "+"))
		}
	}
	return list
}

// tracedCluster is three nodes that export traces.
type tracedCluster struct {
	*caller
	collector *collector.Collector
	start     func(node int) *process.Process
	processes [clusterSize + 1]*process.Process
}

func startTracedCluster(t *testing.T) *tracedCluster {
	t.Helper()
	port := process.FreePorts(t, clusterSize)
	c := &tracedCluster{caller: newCaller(t, port, clusterSize), collector: collector.Start(t, nil)}
	var configs [clusterSize + 1]string
	for node := 1; node <= clusterSize; node++ {
		configs[node] = serveConfig(t, node, port, t.TempDir())
	}
	c.start = func(node int) *process.Process {
		cmd := process.Command(process.Context(t), "serve", "--config", configs[node])
		cmd.Env = append(cmd.Env, "HOOKWHEEL_TRACING_ENDPOINT="+c.collector.URL, "HOOKWHEEL_TRACING_HEADERS=x-secret=hush%2Chush",
			"HOOKWHEEL_TRACING_SAMPLE=0", "HOOKWHEEL_TRACING_PROPAGATE_TO=127.0.0.1", "HOOKWHEEL_API_DRAIN=0s", "HOOKWHEEL_DELIVERY_RETRY_SCHEDULE=2s,2s,2s,2s,2s")
		return process.StartCommand(t, cmd)
	}
	for node := 1; node <= clusterSize; node++ {
		c.processes[node] = c.start(node)
	}
	return c
}

// post sends messages to a node as part of a trace.
func (c *tracedCluster) post(t *testing.T, node int, path, traceparent, body string, out any) {
	t.Helper()
	r, err := c.postWith(node, path, http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=x"}}, body)
	if err != nil || r.status != http.StatusAccepted || json.Unmarshal(r.body, out) != nil {
		t.Fatalf("posting to n%d: %d %s, %v", node, r.status, r.body, err)
	}
}

// message is how a message is answered.
type message struct{ ID string }

func isAttempt(s collector.Span) bool { return s.Kind == trace.Span_SPAN_KIND_CLIENT }

const tracedEvent = `{"eventType": "test.event", "payload": {"secret-payload": 1}}`

const traceOfTest = "0af7651916cd43dd8448eb211c80319c"

// Spans of one message come from the node that took it, from the leader that made the first
// attempt, and from the next leader, and are one tree.
func TestTraceThroughLostLeader(t *testing.T) {
	t.Parallel()
	c, r := startTracedCluster(t), receivertest.Start(t, nil)
	leader := c.awaitHealth(t, 1, 2, 3)
	c.setUp(t, "main", r.URL+"/secret-path?secret-query=1")
	follower := 1 + leader%clusterSize
	r.Say(http.StatusServiceUnavailable)
	var made message
	c.post(t, follower, "/app/demo/msg", "00-"+traceOfTest+"-b7ad6b7169203331-01", tracedEvent, &made)
	id := made.ID
	var first collector.Span
	wait.For(t, "the first attempt is exported", func() bool {
		list := c.collector.Spans(isAttempt)
		if len(list) > 0 {
			first = list[0]
		}
		return len(list) > 0
	})

	if err := c.processes[leader].Cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.Say(http.StatusOK)
	var last collector.Span
	wait.For(t, "an attempt of another leader succeeds", func() bool {
		list := c.collector.Spans(func(s collector.Span) bool {
			return isAttempt(s) && s.Attributes["messaging.message.id"] == id && s.Status == nil
		})
		if len(list) > 0 {
			last = list[0]
		}
		return len(list) > 0
	})
	var spans []collector.Span
	wait.For(t, "the spans of all nodes arrive", func() bool { // each node exports once a second
		spans = c.collector.Spans(func(s collector.Span) bool { return s.Attributes["messaging.message.id"] == id })
		return slices.ContainsFunc(spans, func(s collector.Span) bool { return s.Kind == trace.Span_SPAN_KIND_SERVER }) &&
			slices.ContainsFunc(spans, func(s collector.Span) bool { return s.Name == "commit" })
	})
	var request collector.Span
	names := make(map[string]int)
	for _, s := range spans {
		names[s.Name]++
		if s.Kind == trace.Span_SPAN_KIND_SERVER {
			request = s
		}
		if hex.EncodeToString(s.TraceId) != traceOfTest || s.TraceState != "vendor=x" {
			t.Errorf("%s is in the trace %x, %s", s.Name, s.TraceId, s.TraceState)
		}
	}
	if request.Span == nil || hex.EncodeToString(request.ParentSpanId) != "b7ad6b7169203331" || request.Name != "POST /api/v1/app/{app}/msg" {
		t.Fatalf("the request: %v", request)
	}
	for _, s := range spans {
		if s.Kind != trace.Span_SPAN_KIND_SERVER && string(s.ParentSpanId) != string(request.SpanId) {
			t.Errorf("the parent of %s is %x", s.Name, s.ParentSpanId)
		}
	}
	if names["commit"] != 1 || names["wait"] < 1 || names["POST"] < 2 { // a probe before its time has not waited
		t.Errorf("spans: %v", names)
	}
	node := func(s collector.Span) string { return s.Resource["service.instance.id"] }
	if node(request) != fmt.Sprint("n", follower) || node(first) != fmt.Sprint("n", leader) || node(last) == node(first) || first.Attributes["error.type"] != "503" {
		t.Errorf("from %s, %s and %s; the first attempt has %v", node(request), node(first), node(last), first.Attributes)
	}
	list := parents(r, id)
	if len(list) < 2 || list[0] != fmt.Sprintf("00-%s-%x-01", traceOfTest, first.SpanId) || list[len(list)-1] != fmt.Sprintf("00-%s-%x-01", traceOfTest, last.SpanId) {
		t.Errorf("the receiver got %v", list)
	}

	c.processes[leader].MayCrash = true
	c.processes[leader] = c.start(leader)
	c.awaitHealth(t, 1, 2, 3)
	c.checkLinks(t, r, id, request)
	c.checkBatch(t, r)
	for _, secret := range []string{"secret", "hush", systemToken} {
		if c.collector.Received(secret) {
			t.Errorf("spans contain %s", secret)
		}
	}
	if c.collector.Header("X-Secret") != "hush,hush" {
		t.Errorf("the collector got %q", c.collector.Header("X-Secret"))
	}
}

// checkLinks checks the traces of what is sent again on request, and of messages in batches.
func (c *tracedCluster) checkLinks(t *testing.T, r *receivertest.Receiver, id string, request collector.Span) {
	t.Helper()
	before := len(c.collector.Spans(isAttempt))
	var attempts []collector.Span
	more := func(n int) {
		t.Helper()
		wait.For(t, fmt.Sprintf("%d more attempts", n), func() bool {
			attempts = c.collector.Spans(isAttempt)[before:]
			return len(attempts) >= n
		})
		before += len(attempts)
	}
	c.must(t, 2, "POST", "/app/demo/msg/"+id+"/endpoint/main/resend", "", 202, nil)
	more(1)
	c.must(t, 3, "POST", "/app/demo/endpoint/main/bulk-replay", fmt.Sprintf(`{"since":%q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)), 202, nil)
	resent := attempts[0]
	more(1)
	replayed := attempts[0]
	for name, s := range map[string]collector.Span{"resend": resent, "replay": replayed} {
		if len(s.Links) != 1 || string(s.Links[0].SpanId) != string(request.SpanId) || string(s.Links[0].TraceId) != string(request.TraceId) ||
			len(s.ParentSpanId) > 0 || hex.EncodeToString(s.TraceId) == traceOfTest || s.Attributes["hookwheel.attempt.trigger"] != "manual" {
			t.Errorf("%s: %v", name, s)
		}
		if list := parents(r, id); !slices.Contains(list, fmt.Sprintf("00-%x-%x-01", s.TraceId, s.SpanId)) {
			t.Errorf("%s: the receiver got %v", name, list)
		}
	}
	if resent.Attributes["hookwheel.task.id"] != "" || replayed.Attributes["hookwheel.task.id"] == "" {
		t.Errorf("%v, %v", resent.Attributes, replayed.Attributes)
	}
}

// checkBatch checks that all messages of a batch are in its trace, and that nothing is exported of
// traces that are not sampled, although receivers get them.
func (c *tracedCluster) checkBatch(t *testing.T, r *receivertest.Receiver) {
	t.Helper()
	const sampled, unsampled = "1af7651916cd43dd8448eb211c80319c", "2af7651916cd43dd8448eb211c80319c"
	var made []message
	c.post(t, 3, "/app/demo/msg/batch", "00-"+unsampled+"-b7ad6b7169203331-00", "["+tracedEvent+"]", &made)
	wait.For(t, "the message that is not sampled arrives", func() bool { return len(parents(r, made[0].ID)) == 1 })
	if list := parents(r, made[0].ID); !strings.HasPrefix(list[0], "00-"+unsampled+"-") || !strings.HasSuffix(list[0], "-00") {
		t.Errorf("the receiver got %v", list)
	}
	c.post(t, 3, "/app/demo/msg/batch", "00-"+sampled+"-b7ad6b7169203331-01", "["+tracedEvent+","+tracedEvent+"]", &made)
	var spans []collector.Span
	wait.For(t, "the spans of a batch arrive", func() bool {
		spans = c.collector.Spans(func(s collector.Span) bool { return hex.EncodeToString(s.TraceId) == sampled && s.Name != "wait" })
		return len(spans) == 4 // the request, its commit and two attempts
	})
	for _, s := range spans {
		if s.Kind == trace.Span_SPAN_KIND_SERVER && (s.Attributes["messaging.batch.message_count"] != "2" || s.Name != "POST /api/v1/app/{app}/msg/batch") {
			t.Errorf("%v", s)
		}
	}
	if list := c.collector.Spans(func(s collector.Span) bool { return hex.EncodeToString(s.TraceId) == unsampled }); len(list) > 0 {
		t.Errorf("spans that are not sampled: %v", list)
	}
}
