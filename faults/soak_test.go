package faults

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var soakFlag = flag.Duration("soak", 0, "how long TestSoak keeps a cluster under load without a fault; 0 skips it")

// soakSamples is how often in all that time the nodes are asked what they use.
const soakSamples = 12

// soakMetrics are what is asked for.
var soakMetrics = []string{"process_resident_memory_bytes", "process_open_fds", "go_goroutines"}

// TestSoak prints what the nodes use while nothing but load happens to them: it should not grow.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("-soak says how long")
	}
	tr := newTrial(t, setup{tls: *tlsFlag})
	tr.produce(t, false)
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "after\tnode\tRSS, MiB\tdescriptors\tgoroutines\tacknowledged\t")
	begin := time.Now()
	for sample := range soakSamples + 1 {
		time.Sleep(time.Until(begin.Add(*soakFlag * time.Duration(sample) / soakSamples)))
		leader, err := tr.awaitWell()
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range tr.nodes {
			values, err := tr.metrics(n, soakMetrics...)
			if err != nil {
				t.Fatal(err)
			}
			name := n.name
			if i == leader {
				name += ", leads"
			}
			fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%.0f\t%d\t\n", time.Since(begin).Round(time.Second), name, values[0]/(1<<20), values[1], values[2],
				len(tr.history.acknowledged()))
		}
	}
	table.Flush()
	t.Log("\n" + out.String())
	tr.report(t, tr.finish(t))
}

// metrics returns the values of metrics without labels of a node; -1: it has no such metric.
func (c *cluster) metrics(n *node, names ...string) ([]float64, error) {
	values := make([]float64, len(names))
	for i := range values {
		values[i] = -1
	}
	request, err := http.NewRequest("GET", n.api+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		for i, name := range names {
			if text, is := strings.CutPrefix(lines.Text(), name+" "); is {
				if values[i], err = strconv.ParseFloat(text, 64); err != nil {
					return nil, err
				}
			}
		}
	}
	return values, lines.Err()
}
