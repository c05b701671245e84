package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestAttention(t *testing.T) {
	const (
		node      = `{"id": "n1", "voter": true, "status": {"id": "n1", "state": "leader", "voter": true, "freeBytes": 9000000000, "minFreeBytes": 1000000000}}`
		calm      = `{"cluster": "c", "node": "n1", "leader": "n1", "members": [` + node + `]}`
		noCounts  = `{"healthy": 7, "failing": 0, "parked": 0, "paused": 2, "disabled": 0, "blocked": 0}`
		endpoints = `{"id": "ep_1", "uid": "billing", "appId": "app_1", "appUid": null, "url": "http://x/\u001b[2J",
			"health": {"state": "parked", "blocked": true, "waiting": 2, "held": 3, "requested": 0, "behind": 1000, "behindMore": true, "oldest": "OLDEST", "failingSince": null}}`
	)
	cluster, list, status, asked := calm, "", 200, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/cluster" {
			io.WriteString(w, cluster)
			return
		}
		asked = r.URL.RequestURI()
		w.WriteHeader(status)
		io.WriteString(w, list)
	}))
	defer server.Close()
	page := func(data, counts string) string {
		data = strings.Replace(data, "OLDEST", time.Now().Add(-time.Hour).Format(time.RFC3339), 1)
		return `{"data": [` + data + `], "done": true, "counts": ` + counts + `}`
	}
	busy := strings.Replace(noCounts, `"parked": 0`, `"parked": 1`, 1)
	for name, test := range map[string]struct {
		cluster, list string
		status, code  int
		out           string // of the table, as a regular expression
		err           string
	}{
		"all is well": {calm, page("", noCounts), 200, 0, `^HEALTHY +FAILING +PARKED +PAUSED +DISABLED +BLOCKED\n7 +0 +0 +2 +0 +0\n$`, ""},
		"an endpoint": {calm, page(endpoints, busy), 200, 4, `\n\nAPPLICATION .*\napp_1 +billing +parked, blocked +1005\+ +1h0m\d+s ago +- +http://x/\\x1b\[2J\n$`,
			"attention needed: parked endpoints (1)"},
		"a node": {strings.Replace(calm, node, node+`, {"id": "n2", "voter": true, "problem": "connection refused"}`, 1), page("", noCounts), 200, 4,
			`^node n2: no response: connection refused\n\nHEALTHY`, "attention needed: nodes (1)"},
		"a disk": {strings.Replace(calm, "9000000000", "1500000000", 1), page("", noCounts), 200, 4,
			`^node n1: disk nearly full: 1.4 GiB free; below 954 MiB it refuses new events\n`, "attention needed: nodes (1)"},
		"a full disk": {strings.Replace(calm, "9000000000", "500000000", 1), page("", busy), 200, 4,
			`^node n1: low on disk: refusing new events\n`, "attention needed: nodes (1), parked endpoints (1)"},
		"no leader": {strings.Replace(calm, `"leader": "n1"`, `"leader": ""`, 1), `{"code": "no_leader", "detail": "there is no leader"}`, 503, 1,
			`^the cluster has no leader at the moment\n$`, "there is no leader"},
	} {
		cluster, list, status = test.cluster, test.list, test.status
		out, err := run(t, "attention", "--url", server.URL, "--token", "t")
		if err == nil && test.code != 0 || err != nil && (exitCode(err) != test.code || err.Error() != test.err) || !regexp.MustCompile(test.out).MatchString(out) {
			t.Errorf("%s: %v, want %q with code %d\n%s", name, err, test.err, test.code, out)
		}
		if asked != "/api/v1/endpoint?health=failing%2Cparked%2Cdisabled%2Cblocked&limit=50" {
			t.Errorf("asked %s", asked)
		}
	}
	cluster, list, status = calm, page(endpoints, busy), 200
	out, err := run(t, "attention", "--json", "--limit", "0", "--url", server.URL, "--token", "t")
	if exitCode(err) != exitAttention || !strings.Contains(out, `"parked": 1`) || !strings.Contains(out, `"endpoints": []`) || !strings.Contains(out, `"nodes": []`) {
		t.Errorf("%v\n%s", err, out)
	}
	for _, limit := range []string{"-1", "251", "x"} {
		if _, err := run(t, "attention", "--limit", limit, "--url", server.URL, "--token", "t"); exitCode(err) != exitUsage {
			t.Errorf("--limit %s: %v", limit, err)
		}
	}
}
