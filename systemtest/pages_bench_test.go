package systemtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"hookwheel/bench"
)

// BenchmarkPages measures the pages in Chromium, on a node under dev, and prints what
// httpapi/pages/test/perf.mjs finds. It judges nothing, for times depend on the machine.
//
//   - list: 250 rows that arrive at once, with a CPU that is four times slower
//   - plot: 28 days of periods of five minutes, 8,064 in all
//   - payload: a message of 1 MiB
//   - live: 50 messages a second, for a minute
//   - open: what a page takes that is left open for ten minutes, with as many
//   - lists: 20,000 endpoints, half of them in one application, and 1,000,000 messages
//   - portals: what 20 portals that are open cost the node under load
func BenchmarkPages(b *testing.B) {
	for _, measurement := range []string{"list", "plot", "payload", "live", "open", "lists"} {
		b.Run(measurement, func(b *testing.B) {
			for b.Loop() {
				p, c := startDev(b, 1)
				cmd := driveBrowser(b, c.nodes[0], measurement)
				cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr // of what is logged, only the beginning is shown
				fmt.Println()
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				p.Stop(b)
			}
			b.ReportMetric(0, "ns/op") // which says nothing here
		})
	}
	b.Run("portals", func(b *testing.B) {
		for b.Loop() {
			fmt.Println()
			for range 5 {
				benchPortals(b, false)
				benchPortals(b, true)
			}
		}
		b.ReportMetric(0, "ns/op")
	})
}

// benchPortals measures a node under load, alone or while portals of 20 other customers are open.
// The browser that shows them takes CPU, too, and is left out of what the node takes.
func benchPortals(b *testing.B, open bool) {
	b.Helper()
	p, c := startDev(b, 1)
	defer p.Stop(b)
	name := "alone"
	if open {
		name = "beside 20 portals"
		defer openPortals(b, c.nodes[0])()
	}
	report := runLoad(b, bench.Load{URLs: c.nodes, Connections: 64, Baseline: true})
	if report.Usage == nil {
		b.Fatal(report.UsageError)
	}
	fmt.Printf("%-17s %6.0f delivered/s, %.3f of the bare loop, %3d us of CPU per event, p99 of a POST %s\n", name,
		report.DeliveredPerSecond, report.Ratio, report.Usage.CPUPerEvent.Microseconds(), report.Post.P99.Round(100*time.Microsecond))
}

// openPortals has a browser open portals, until the function that it returns is called.
func openPortals(b *testing.B, url string) (closeAll func()) {
	b.Helper()
	cmd := driveBrowser(b, url, "portals")
	var failure bytes.Buffer
	cmd.Stderr = &failure
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "OPEN" {
		_ = cmd.Process.Kill()
		b.Fatalf("%q, %v: %s", lines.Text(), cmd.Wait(), failure.Bytes())
	}
	return func() {
		if err := in.Close(); err != nil {
			b.Error(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			b.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Errorf("%v: %s", err, failure.Bytes())
		}
	}
}

// driveBrowser is the command that measures something of a node's pages in Chromium.
func driveBrowser(b *testing.B, url, measurement string) *exec.Cmd {
	b.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		b.Skip("Chromium is not installed")
	}
	dir := filepath.Join("..", "httpapi", "pages", "test")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		b.Skip("the npm packages are missing: cd httpapi/pages/test && npm install --no-package-lock")
	}
	cmd := exec.CommandContext(b.Context(), "node", "perf.mjs", url, systemToken, chromium, "", measurement)
	cmd.Dir = dir
	return cmd
}
