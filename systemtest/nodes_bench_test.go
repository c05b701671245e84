package systemtest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hookwheel/bench"
	"hookwheel/systemtest/process"
)

const (
	benchEvents = 30_000
	benchSize   = 1 << 10
)

// startDev starts dev with so many nodes, and waits until they are well.
func startDev(b *testing.B, nodes int) (*process.Process, *caller) {
	b.Helper()
	port := process.FreePorts(b, nodes)
	args := []string{"dev", "--listen", process.NodeAddress(port, 1), "--data", b.TempDir(), "--token", systemToken}
	if nodes > 1 {
		args = append(args, "--nodes", strconv.Itoa(nodes))
	}
	p := process.Start(b, args...)
	c := newCaller(b, port, nodes)
	all := make([]int, nodes)
	for i := range all {
		all[i] = i + 1
	}
	c.awaitHealth(b, all...)
	return p, c
}

// benchCluster runs dev with so many nodes under load, and returns the report. watch, which may be
// nil, is told the process before the load and returns what to call after it.
func benchCluster(b *testing.B, nodes, connections int, watch func(pid int) (end func())) *bench.Report {
	b.Helper()
	p, c := startDev(b, nodes)
	defer p.Stop(b)
	if watch != nil {
		defer watch(p.Cmd.Process.Pid)()
	}
	return runLoad(b, bench.Load{URLs: c.nodes, Connections: connections})
}

// runLoad sends a load to nodes, and returns the report.
func runLoad(b *testing.B, load bench.Load) *bench.Report {
	b.Helper()
	sink, err := bench.NewSink("127.0.0.1:0", 1, benchEvents)
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	load.Token, load.Sink, load.Size, load.Wait = systemToken, sink, benchSize, time.Minute
	report, err := load.Run(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if err := report.Err(); err != nil {
		b.Fatal(err)
	}
	return report
}

// BenchmarkThreeNodes measures what replication costs: delivered events per second of three nodes
// as a share of one node's, in turn on the same machine.
func BenchmarkThreeNodes(b *testing.B) {
	for _, connections := range []int{64, 256} {
		b.Run(strconv.Itoa(connections)+"-connections", func(b *testing.B) {
			var one, three []float64
			for b.Loop() {
				one = append(one, benchCluster(b, 1, connections, nil).DeliveredPerSecond)
				three = append(three, benchCluster(b, 3, connections, nil).DeliveredPerSecond)
			}
			slices.Sort(one)
			slices.Sort(three)
			b.ReportMetric(one[len(one)/2], "one-node/s")
			b.ReportMetric(three[len(three)/2], "three-nodes/s")
			b.ReportMetric(three[len(three)/2]/one[len(one)/2], "ratio")
		})
	}
}

// BenchmarkSyncs counts the system calls that make data durable, with strace, for each event that a
// single node accepts and delivers. A node of three makes as many.
func BenchmarkSyncs(b *testing.B) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		b.Skip("strace is not installed")
	}
	for _, connections := range []int{64, 256} {
		b.Run(strconv.Itoa(connections)+"-connections", func(b *testing.B) {
			calls := 0
			for b.Loop() {
				counts := filepath.Join(b.TempDir(), "strace")
				benchCluster(b, 1, connections, func(pid int) func() { return traceSyncs(b, strace, pid, counts) })
				calls += countCalls(b, counts)
			}
			b.ReportMetric(float64(calls)/float64(b.N*benchEvents), "syncs/event")
		})
	}
}

// traceSyncs has strace count until the function that it returns is called.
func traceSyncs(b *testing.B, strace string, pid int, counts string) func() {
	b.Helper()
	cmd := exec.Command(strace, "-f", "-c", "-e", "trace=fsync,fdatasync,msync,sync_file_range", "-o", counts, "-p", strconv.Itoa(pid))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	time.Sleep(time.Second) // for all threads to be traced
	return func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			b.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			b.Log(err) // it ends by the signal
		}
	}
}

// countCalls adds up the column "calls" of strace -c.
func countCalls(b *testing.B, path string) (calls int) {
	b.Helper()
	file, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 || !strings.HasSuffix(fields[len(fields)-1], "sync") {
			continue
		}
		n, err := strconv.Atoi(fields[3])
		if err != nil {
			b.Fatal(err)
		}
		calls += n
	}
	return calls
}
