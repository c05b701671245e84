package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"hookwheel/config"
	"hookwheel/node"
)

// startLimit is for a node to lead its cluster of one.
const startLimit = 30 * time.Second

// metrics returns the page of the metrics that a node has.
func metrics() (string, error) {
	families, err := nodeMetrics()
	if err != nil {
		return "", err
	}
	var page strings.Builder
	page.WriteString("# Metrics\n\n" + notice("/metrics of a node"))
	page.WriteString("What `/metrics` of each node has, in the text format of Prometheus. [Monitoring](../monitoring.md) says what\nto watch. The metrics of the Go runtime (`go_…`) and of the process (`process_…`) are those of every Go program.\n")
	page.WriteString("\n| metric | type | labels | |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if family := families[name]; strings.HasPrefix(name, "hookwheel_") {
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labels(family), cell(family.GetHelp()))
		}
	}
	page.WriteString("| `hookwheel_certificate_expiry_timestamp_seconds` | gauge | `file` | When a certificate ends; only of nodes that have any. |\n")
	return page.String(), nil
}

// labels returns the labels of a metric with the values that they have on every node.
func labels(family *dto.MetricFamily) string {
	values := make(map[string][]string)
	for _, metric := range family.GetMetric() {
		for _, pair := range metric.GetLabel() {
			if list := values[pair.GetName()]; !slices.Contains(list, pair.GetValue()) {
				values[pair.GetName()] = append(list, pair.GetValue())
			}
		}
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[name])
		texts = append(texts, "`"+name+"`: "+strings.Join(values[name], ", "))
	}
	return strings.Join(texts, "; ")
}

// nodeMetrics reads the metrics of a node that it starts.
func nodeMetrics() (families map[string]*dto.MetricFamily, err error) {
	folder, err := os.MkdirTemp("", "reference")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	c := config.Default()
	c.Data, c.API.Listen, c.API.Token, c.API.Drain = folder, "127.0.0.1:0", "only for the reference", 0
	c.Tracing.Endpoint = "http://127.0.0.1:4318" // to which nothing is sent, as there are no traces
	n, err := node.Start(c, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		status, _, err := get("http://" + n.Addr() + "/api/v1/health")
		if err == nil && status >= 300 && time.Since(start) > startLimit {
			err = fmt.Errorf("its health check responds with %d", status)
		}
		if err != nil {
			return nil, fmt.Errorf("the node does not become healthy: %w", err)
		}
		if status < 300 {
			break
		}
	}
	_, text, err := get("http://" + n.Addr() + "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(text))
}

func get(url string) (status int, body string, err error) {
	response, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), errors.Join(err, response.Body.Close())
}
