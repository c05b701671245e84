package cli

import (
	"strings"
	"testing"
)

func TestTailLine(t *testing.T) {
	for _, test := range []struct {
		event tailEvent
		want  []string
	}{
		{tailEvent{name: "skipped", data: `{"attempts":{"success":1200,"fail":3,"canceled":1},"changes":2}`},
			[]string{"not shown", "1200 success, 3 fail, 1 canceled; 2 changes"}},
		{tailEvent{name: "pulse", data: `{"timestamp":"2026-01-31T12:00:00Z","attempts":{"success":9,"fail":0,"canceled":0},"attemptLatency":{"p50":3,"p95":7,"p99":9},` +
			`"backlog":{"waiting":1,"held":2,"requested":3,"behind":4,"oldest":"2026-01-31T11:58:00Z"},"lag":0}`},
			[]string{"pulse", "9 success, 0 fail, 0 canceled; p50 3, p95 7, p99 9 ms; backlog 10, oldest 2m0s; lag 0"}},
		{tailEvent{name: "pulse", data: `{"timestamp":"2026-01-31T12:00:00Z","attempts":{"success":0,"fail":0,"canceled":0},"attemptLatency":{"p50":null,"p95":null,"p99":null},` +
			`"backlog":{"waiting":0,"held":0,"requested":0,"behind":0,"oldest":null}}`}, []string{"0 canceled; backlog 0"}},
	} {
		line, err := tailLine(test.event, false)
		for _, want := range test.want {
			if err != nil || !strings.Contains(line, want) {
				t.Errorf("%s: %q, %v; want %q", test.event.name, line, err, want)
			}
		}
	}
	for _, name := range []string{"skipped", "pulse", "attempt"} {
		if _, err := tailLine(tailEvent{name: name, data: `{"attempts":5`}, false); err == nil {
			t.Errorf("%s: no error for data that is not JSON", name)
		}
	}
}
