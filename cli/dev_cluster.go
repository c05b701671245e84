package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"hookwheel/cluster"
	"hookwheel/node"
)

const (
	restartPause = time.Second            // before a node that was killed is restarted
	stopPatience = 20 * time.Second       // for the nodes to stop; then they are killed
	healthPause  = 100 * time.Millisecond // between two health checks of a cluster that starts
)

// These pass the token and the cluster secret to child processes: they must not be visible in a
// command line.
const (
	tokenVariable  = "HOOKWHEEL_DEV_TOKEN"
	secretVariable = "HOOKWHEEL_DEV_SECRET"
)

// runCluster starts a process for each node and keeps them running until ctx ends.
func (o *devOptions) runCluster(ctx context.Context, host string, port int, out io.Writer) (err error) {
	if port == 0 {
		return usageErrorf("--listen: the port can't be 0 with --nodes")
	}
	if o.secret, err = o.kept("secret", 32); err != nil {
		return fmt.Errorf("the cluster secret: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Starting a cluster of %d nodes, data in %s. Ctrl-C stops it.\n", o.nodes, o.data)
	o.noteOtherData(out)
	for i := 1; i <= o.nodes; i++ {
		api, peer := nodeAddress(host, port, i), peerAddress(port, i)
		if err := errors.Join(portFree(api), portFree(peer)); err != nil {
			return err
		}
		fmt.Fprintf(out, "n%d  API at http://%s, other nodes at %s\n", i, api, peer)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg   sync.WaitGroup
		text = &printer{out: out}
	)
	for i := 1; i <= o.nodes; i++ {
		wg.Go(func() {
			if err := o.keepRunning(ctx, executable, i, text); err != nil {
				cancel(err)
			}
		})
	}
	url := "http://" + nodeAddress(host, port, 1)
	fmt.Fprintln(text, "Waiting until the nodes have formed a cluster and elected a leader.")
	if awaitHealth(ctx, url) {
		o.greet(text, url)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// portFree returns an error if a port is in use: without this check each child would fail, again
// and again.
func portFree(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s can't be used, perhaps because Hookwheel already runs there; --listen chooses another port: %w", address, err)
	}
	return l.Close()
}

// awaitHealth waits until a node is healthy, and returns false if ctx ends before.
func awaitHealth(ctx context.Context, url string) bool {
	for {
		check, cancel := context.WithTimeout(ctx, dialTimeout)
		request, err := http.NewRequestWithContext(check, http.MethodGet, url+"/api/v1/health", nil)
		if err != nil {
			panic(err) // the URL is ours
		}
		response, err := http.DefaultClient.Do(request)
		healthy := err == nil && response.StatusCode == http.StatusOK
		if err == nil {
			response.Body.Close()
		}
		cancel()
		if healthy {
			return true
		}
		select {
		case <-time.After(healthPause):
		case <-ctx.Done():
			return false
		}
	}
}

// printer keeps the lines of several nodes apart.
type printer struct {
	mu  sync.Mutex
	out io.Writer
}

func (p *printer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(text)
}

// keepRunning runs a node and restarts it when it dies.
func (o *devOptions) keepRunning(ctx context.Context, executable string, node int, out io.Writer) error {
	name := "n" + strconv.Itoa(node)
	for {
		err := o.runProcess(ctx, executable, node, func(pid int) {
			fmt.Fprintf(out, "%s  started, pid %d\n", name, pid)
		})
		if ctx.Err() != nil {
			return err
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == exitRemoved {
			fmt.Fprintf(out, "%s  was removed from the cluster, not restarting; to admit it again, move %s away and run dev again\n", name, o.dataOf(node))
			<-ctx.Done()
			return nil
		}
		if o.noRestart {
			fmt.Fprintf(out, "%s  exited (%v), not restarting\n", name, err)
			<-ctx.Done()
			return nil
		}
		fmt.Fprintf(out, "%s  exited (%v), restarting\n", name, err)
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// dataOf returns the data folder of one of several nodes.
func (o *devOptions) dataOf(node int) string { return filepath.Join(o.data, "n"+strconv.Itoa(node)) }

// runProcess runs one node as a process until it ends or ctx does.
func (o *devOptions) runProcess(ctx context.Context, executable string, node int, started func(pid int)) error {
	dir := o.dataOf(node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, executable, "dev", "--child", strconv.Itoa(node), "--nodes", strconv.Itoa(o.nodes),
		"--listen", o.listen, "--data", o.data)
	cmd.Env = append(os.Environ(), tokenVariable+"="+o.token, secretVariable+"="+o.secret)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C is for the parent, which stops its children
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	alive, err := cmd.StdinPipe() // its end tells the child that the parent is gone, whatever the reason
	if err != nil {
		return err
	}
	defer alive.Close()
	if err := cmd.Start(); err != nil {
		return err
	}
	pidFile := filepath.Join(dir, "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(cmd.Process.Pid)+"\n"), 0o600); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	started(cmd.Process.Pid)
	err = cmd.Wait()
	if ctx.Err() != nil && cmd.ProcessState.Success() {
		err = nil
	}
	return errors.Join(err, os.Remove(pidFile))
}

// runChild runs a node that a parent keeps running.
func (o *devOptions) runChild(ctx context.Context) error {
	o.token, o.secret = os.Getenv(tokenVariable), os.Getenv(secretVariable)
	host, port, err := splitAddress(o.listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process: a read of standard input can't be canceled
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err = node.Run(ctx, o.config(host, port, o.child), o.version, nil)
	if errors.Is(err, cluster.ErrRemoved) {
		return &exitError{err, exitRemoved}
	}
	return err
}
