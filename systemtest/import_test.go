package systemtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"hookwheel/systemtest/process"
)

// startAlone starts a node that is a cluster by itself.
func startAlone(t *testing.T) *caller {
	t.Helper()
	port := process.FreePorts(t, 1)
	c := newCaller(t, port, 1)
	process.Start(t, "dev", "--listen", process.NodeAddress(port, 1), "--data", t.TempDir(), "--token", systemToken)
	c.awaitHealth(t, 1)
	return c
}

// importReport is the file that hookwheel import writes.
type importReport struct {
	Items    []struct{ Kind, Result, SourceID, UID, ID, Application string }
	Counts   map[string]map[string]int
	Complete bool
}

const importedEndpoints = 60 // of the largest application

// importSource fills a node with applications, event types and endpoints.
func importSource(t *testing.T) *caller {
	c := startAlone(t)
	for _, name := range []string{"invoice.paid", "invoice.old"} {
		c.must(t, 1, "POST", "/event-type", fmt.Sprintf(`{"name": %q, "description": "d", "schemas": {"1": {"type": "object"}}}`, name), 201, nil)
	}
	for app, count := range map[string]int{`, "uid": "small"`: 2, ``: 2, `, "uid": "large"`: importedEndpoints} {
		var made struct{ ID string }
		c.must(t, 1, "POST", "/app", `{"name": "Customer", "metadata": {"plan": "gold"}, "throttleRate": 50`+app+`}`, 201, &made)
		for i := range count {
			c.must(t, 1, "POST", "/app/"+made.ID+"/endpoint", fmt.Sprintf(`{"url": "http://127.0.0.1:9/%d", "uid": "e%d", "disabled": %t, "channels": ["c"],
				"eventTypes": ["invoice.old"], "headers": {"X-Team": "t%d"}, "metadata": {"a": "b"}}`, i, i, i == 1, i), 201, nil)
		}
	}
	c.must(t, 1, "PATCH", "/event-type/invoice.old", `{"archived": true}`, 200, nil)
	return c
}

// An import that is killed in the middle is finished by the next one, and a third one changes
// nothing. What was copied is the same as at the source, secrets too.
func TestImportFromAnotherCluster(t *testing.T) {
	t.Parallel()
	from, to := importSource(t), startAlone(t)
	report := filepath.Join(t.TempDir(), "report.json")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(systemToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"import", "svix", "--url", from.nodes[0], "--token-file", token, "--to", to.nodes[0], "--to-token-file", token, "--report", report}

	killInTheMiddle(t, from, args)

	runImport := func(flags ...string) (r importReport) {
		out, problems, err := command(t, nil, append(args, flags...)...)
		if err != nil {
			t.Fatalf("%v: %s %s", err, problems, out)
		}
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &r); err != nil || !r.Complete {
			t.Fatalf("the report is %v, %s", err, text)
		}
		if strings.Contains(string(text)+out+problems, "whsec_") || strings.Contains(string(text)+out+problems, systemToken) {
			t.Error("the import shows a secret")
		}
		return r
	}
	second := runImport()
	if copied, same := second.Counts["endpoint"]["copied"], second.Counts["endpoint"]["unchanged"]; copied == 0 || same == 0 || copied+same != importedEndpoints+4 {
		t.Errorf("the second import copied %d endpoints and found %d, want some of both", copied, same)
	}
	third := runImport("--update")
	for kind, counts := range third.Counts {
		if len(counts) != 1 || counts["unchanged"] == 0 {
			t.Errorf("the third import: %ss are %v", kind, counts)
		}
	}
	for _, item := range third.Items {
		if item.Application == "small" {
			compareImported(t, from, to, "/app/small/endpoint/"+item.UID+"/secret")
			compareImported(t, from, to, "/app/small/endpoint/"+item.UID+"/headers")
		}
	}
}

// killInTheMiddle kills an import while it waits for a response of the source.
func killInTheMiddle(t *testing.T, from *caller, args []string) {
	t.Helper()
	target, err := url.Parse(from.nodes[0])
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	reached := make(chan struct{})
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == importedEndpoints {
			close(reached)
		}
		if requests.Load() >= importedEndpoints {
			<-r.Context().Done()
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	cut := process.Command(process.Context(t), append(args, "--url", server.URL)...)
	if err := cut.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cut.Wait() }()
	select {
	case <-reached:
	case err := <-ended:
		t.Fatalf("the import ended before it was killed: %v", err)
	}
	if err := cut.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

// compareImported compares what two nodes say of an endpoint.
func compareImported(t *testing.T, from, to *caller, path string) {
	t.Helper()
	a, err := from.call(1, "GET", path, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := to.call(1, "GET", path, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusOK || string(a.body) != string(b.body) {
		t.Errorf("%s: the source has %d %s, the copy %d %s", path, a.status, a.body, b.status, b.body)
	}
}
