package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"hookwheel/config"
)

const (
	rulesFile   = "../docs/monitoring/hookwheel.rules.yml"
	grafanaFile = "../docs/monitoring/grafana.json"
)

// metricsText returns the metrics of a node that has some of each kind.
func metricsText(t *testing.T) string {
	t.Helper()
	a := apiStart(t, func(c *config.Config) { c.Tracing.Endpoint = "http://127.0.0.1:1" }) // nothing is sent
	a.call("POST", "/app", `{"name":"Acme"}`, 201, nil)
	_, text := a.raw("GET", "/metrics", "", nil)
	return string(text)
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Names, units and help of our metrics follow the conventions of Prometheus.
func TestMetricNames(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(metricsText(t))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "hookwheel_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

var (
	metricName  = regexp.MustCompile(`\b(?:hookwheel|process)_[a-z_]*[a-z]\b`)
	metricLabel = regexp.MustCompile(`\b(?:outcome|event|where|class)=~?\\?"([a-z0-9_|]+)\\?"`)
)

// What the alerts, the dashboard and the documentation name is in the metrics of a node.
func TestMonitoringNamesMetrics(t *testing.T) {
	text := metricsText(t)
	files, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	const ofTLS = "hookwheel_certificate_expiry_timestamp_seconds" // only with certificates: TestAPIWithTLS
	for _, file := range append(files, rulesFile, grafanaFile) {
		content := readText(t, file)
		for _, name := range metricName.FindAllString(content, -1) {
			if name != ofTLS && !strings.Contains(text, "\n"+name+" ") && !strings.Contains(text, "\n"+name+"{") {
				t.Errorf("%s names %s, which a node does not have", file, name)
			}
		}
		for _, match := range metricLabel.FindAllStringSubmatch(content, -1) {
			for value := range strings.SplitSeq(match[1], "|") {
				if !strings.Contains(text, `="`+value+`"`) {
					t.Errorf("%s names the label value %s, which a node does not have", file, value)
				}
			}
		}
	}
}

// Each alert is explained, and each explanation is of an alert.
func TestAlertsAreExplained(t *testing.T) {
	find := func(path, pattern string) (names []string) {
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(readText(t, path), -1) {
			names = append(names, match[1])
		}
		return names
	}
	alerts := find(rulesFile, `(?m)^  - alert: (\w+)$`)
	if explained := find("../docs/monitoring.md", `(?m)^### (\w+)$`); len(alerts) == 0 || !slices.Equal(alerts, explained) {
		t.Errorf("alerts:    %v\nexplained: %v", alerts, explained)
	}
	tested := find(strings.Replace(rulesFile, ".yml", ".test.yml", 1), `(?m)^- name: (Hookwheel\w+)$`)
	if !slices.Equal(alerts, tested) {
		t.Errorf("alerts: %v\ntested: %v", alerts, tested)
	}
}

// Prometheus' own tool checks the rules, runs their tests, and parses what the dashboard asks for.
func TestMonitoringWithPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readText(t, grafanaFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	var rules bytes.Buffer
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, panel := range dashboard.Panels {
		for j, target := range panel.Targets {
			expr := strings.NewReplacer("$__rate_interval", "5m", "$job", "hookwheel").Replace(target.Expr)
			fmt.Fprintf(&rules, "  - {record: panel_%d_%d, expr: %q}\n", i, j, expr)
		}
	}
	asked := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(asked, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", rulesFile, asked}, {"test", "rules", strings.Replace(rulesFile, ".yml", ".test.yml", 1)}} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(metricsText(t))
	if out, err := check.CombinedOutput(); err != nil && strings.Contains(string(out), "hookwheel_") {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
