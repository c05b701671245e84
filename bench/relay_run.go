package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// RelayRun is what a relay did with the events, payloads and connections of a run. It has the same
// meaning as the fields of these names in Report.
type RelayRun struct {
	Log                bool    `json:"log"` // whether it synced each event to a log before it responded
	Accepted           int     `json:"accepted"`
	AcceptedPerSecond  float64 `json:"acceptedPerSecond"`
	Delivered          int     `json:"delivered"`
	DeliveredPerSecond float64 `json:"deliveredPerSecond"`
	Post               Latency `json:"post"`
	Arrival            Latency `json:"arrival"`
	Usage              *Usage  `json:"usage,omitempty"`
	Ratio              float64 `json:"ratio,omitempty"` // deliveries of the run ÷ those of the relay, per second
}

const relayEnd = 10 * time.Second // for a relay to end by itself

// measureRelays runs the load against both forms of the relay.
func (l *Load) measureRelays(ctx context.Context, report *Report) error {
	for _, withLog := range []bool{false, true} {
		if ctx.Err() != nil {
			return nil
		}
		run, err := l.measureRelay(ctx, withLog)
		if err != nil {
			return err
		}
		report.Relays = append(report.Relays, *run)
	}
	return nil
}

// measureRelay runs the load against a relay in a process of its own, as a node is one. Its log is
// in the folder for temporary files.
func (l *Load) measureRelay(ctx context.Context, withLog bool) (_ *RelayRun, err error) {
	command := l.Relay
	if withLog {
		folder, err := os.MkdirTemp("", "hookwheel-relay-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
		if inMemory(folder) {
			return nil, fmt.Errorf("%s is in memory, where a relay's log costs nothing: set TMPDIR to a folder on the disk of the nodes", filepath.Dir(folder))
		}
		command = append(command[:len(command):len(command)], filepath.Join(folder, "log"))
	}
	sink, err := NewSink("127.0.0.1:0", l.Sink.Endpoints(), l.Sink.Events())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	process, err := startRelay(command)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, process.stop()) }()
	load := *l
	load.URLs, load.Token, load.Sink, load.name = []string{process.url}, "relay", sink, (&RelayRun{Log: withLog}).name()
	var r Report
	if err := load.measure(ctx, &r); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	if err := r.Err(); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	return &RelayRun{Log: withLog, Accepted: r.Accepted, AcceptedPerSecond: r.AcceptedPerSecond,
		Delivered: r.Delivered, DeliveredPerSecond: r.DeliveredPerSecond,
		Post: r.Post, Arrival: r.Arrival, Usage: r.Usage}, nil
}

// relayProcess is a running relay. It ends when its input does, so also if this process is killed.
type relayProcess struct {
	url   string
	cmd   *exec.Cmd
	input io.Closer
}

func startRelay(command []string) (*relayProcess, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("relay: %w", err)
	}
	p := &relayProcess{cmd: cmd, input: input}
	line, err := bufio.NewReader(output).ReadString('\n') // or the relay ends
	if err != nil {
		return nil, errors.Join(errors.New("the relay has not started"), p.stop())
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop ends the relay and waits for it.
func (p *relayProcess) stop() error {
	p.input.Close() // twice if the relay has ended
	timer := time.AfterFunc(relayEnd, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}
