package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBars(t *testing.T) {
	for want, list := range map[string][]float64{
		"":        nil,
		"...":     {0, 0, 0},
		"█":       {7},
		".▁▁▄█":   {0, 0.001, 1, 5, 12},
		"▂▃▄▅▆▇█": {1, 2, 3, 4, 5, 6, 7},
	} {
		if got := bars(list); got != want {
			t.Errorf("%v: %s, want %s", list, got, want)
		}
	}
	for _, periods := range []int{1, 71, 72, 73, 145, 2160, 100_000} {
		chart := []rune(bars(slices.Repeat([]float64{1}, periods)))
		if len(chart) > maxBars || len(chart)*perBar(periods) < periods {
			t.Errorf("%d periods have %d bars of %d", periods, len(chart), perBar(periods))
		}
	}
}

func TestStats(t *testing.T) {
	local := func(hour int) string {
		return time.Date(2026, 1, 31, hour, 0, 0, 0, time.UTC).Local().Format("2006-01-02 15:04")
	}
	var asked string
	response := `{"startDate": "2026-01-31T10:00:00Z", "endDate": "2026-01-31T13:00:00Z", "period": "OneHour", "keptFrom": null,
		"data": {"successCount": [1, 0, 2], "failureCount": [0, 0, 1], "canceledCount": [0, 0, 0],
			"attemptLatency": {"p95": [0, null, 80]}, "deliveryLatency": {"p95": [null, null, 90]}},
		"total": {"success": 3, "failure": 1, "canceled": 0,
			"attemptLatency": {"p50": 12, "p95": 80, "p99": 81}, "deliveryLatency": {"p50": null, "p95": null, "p99": null}}}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.RequestURI()
		io.WriteString(w, response)
	}))
	defer server.Close()
	flags := []string{"--url", server.URL, "--token", "t"}
	out, err := run(t, append([]string{"stats"}, flags...)...)
	if err != nil || asked != "/api/v1/stats/attempt" {
		t.Errorf("%s: %v", asked, err)
	}
	for _, line := range []string{
		local(10) + " to " + local(13) + ", 1h0m0s for each bar",
		"succeeded  3      ▅.█", "failed     1      ..█", "canceled   0      ...",
		"attempt                     12 ms  80 ms  81 ms  ▁.█", "from accepted to delivered  -      -      -      ..█",
	} {
		if !slices.Contains(strings.Split(out, "\n"), line) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
	response = strings.Replace(response, `"keptFrom": null`, `"keptFrom": "2026-01-31T11:00:00Z"`, 1)
	for command, want := range map[string]string{
		"--app a%2f --period day":                                    "/api/v1/stats/app/a%252f/attempt?period=OneDay",
		"--app acme --endpoint billing --since 2026-01-31T00:00:00Z": "/api/v1/stats/app/acme/endpoint/billing/attempt?startDate=2026-01-31T00%3A00%3A00Z",
		"--until 2026-01-31T00:00:00Z --period minutes":              "/api/v1/stats/attempt?endDate=2026-01-31T00%3A00%3A00Z&period=FiveMinutes",
		"--app acme --since 2026-01-31T00:00:00Z --period hour":      "/api/v1/stats/app/acme/attempt?period=OneHour&startDate=2026-01-31T00%3A00%3A00Z",
	} {
		out, err := run(t, append(append([]string{"stats"}, strings.Fields(command)...), flags...)...)
		if err != nil || asked != want || !strings.Contains(out, "before "+local(11)+" are no longer kept") {
			t.Errorf("%s: %s, want %s, %v", command, asked, want, err)
		}
	}
	if out, err := run(t, append([]string{"stats", "--json"}, flags...)...); err != nil || !strings.Contains(out, `"keptFrom": "2026-01-31T11:00:00Z"`) {
		t.Errorf("%s %v", out, err)
	}
	for _, command := range []string{"--endpoint e", "--app= --endpoint e", "--app ..", "--period week", "--since soon", "extra"} {
		asked = ""
		if _, err := run(t, append(append([]string{"stats"}, strings.Fields(command)...), flags...)...); exitCode(err) != exitUsage || asked != "" {
			t.Errorf("%s: %v, asked %s", command, err, asked)
		}
	}
}
