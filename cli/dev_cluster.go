package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
	restartPause = time.Second      // before a node that was killed is started again
	stopPatience = 20 * time.Second // for the nodes to end; then they are killed
)

// These hand the token and the cluster secret to the child processes: they must not stand in a command line.
const (
	tokenVariable  = "HOOKWHEEL_DEV_TOKEN"
	secretVariable = "HOOKWHEEL_DEV_SECRET"
)

// exitRemoved is the exit code of a child that was removed from the cluster: to start it again would change nothing.
const exitRemoved = 3

// runCluster starts a process for each node and keeps them running until ctx ends.
func (o *devOptions) runCluster(ctx context.Context, out io.Writer) error {
	host, port, err := splitAddress(o.listen)
	if err != nil {
		return err
	}
	if port == 0 {
		return fmt.Errorf("--listen: with --nodes the port can't be 0")
	}
	if o.secret, err = o.kept("secret", 32); err != nil {
		return fmt.Errorf("the cluster secret: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	for i := 1; i <= o.nodes; i++ {
		for _, address := range []string{nodeAddress(host, port, i), peerAddress(host, port, i)} {
			if err := portFree(address); err != nil {
				return err
			}
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg  sync.WaitGroup
		say = &printer{out: out}
	)
	for i := 1; i <= o.nodes; i++ {
		wg.Go(func() {
			if err := o.keepRunning(ctx, executable, i, "http://"+nodeAddress(host, port, i), say); err != nil {
				cancel(err)
			}
		})
	}
	if awaitPort(ctx, nodeAddress(host, port, 1)) {
		o.greet(say, "http://"+nodeAddress(host, port, 1))
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// portFree finds out early what each child would otherwise stumble over again and again.
func portFree(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s is taken, perhaps by another cluster: %w", address, err)
	}
	return l.Close()
}

// awaitPort waits until something listens there.
func awaitPort(ctx context.Context, address string) bool {
	for ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close() == nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return false
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

// keepRunning runs one node, again and again if it dies.
func (o *devOptions) keepRunning(ctx context.Context, executable string, node int, url string, say io.Writer) error {
	name := "n" + strconv.Itoa(node)
	for {
		err := o.runProcess(ctx, executable, node, func(pid int) {
			fmt.Fprintf(say, "%s  %s  pid %d\n", name, url, pid)
		})
		if ctx.Err() != nil {
			return err
		}
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == exitRemoved {
			fmt.Fprintf(say, "%s  was removed and is not restarted; move %s away and run dev again to let it in\n", name, o.dataOf(node))
			<-ctx.Done()
			return nil
		}
		if o.noRestart {
			fmt.Fprintf(say, "%s  ended (%v) and stays so\n", name, err)
			<-ctx.Done()
			return nil
		}
		fmt.Fprintf(say, "%s  ended (%v) and is started again\n", name, err)
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// dataOf is the data folder of one of several nodes.
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ctrl-C is for the parent, which ends the children in order
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	alive, err := cmd.StdinPipe() // its end tells the child that the parent is gone, however it went
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

// runChild is one node of a cluster that a parent watches over.
func (o *devOptions) runChild(ctx context.Context) error {
	o.token, o.secret = os.Getenv(tokenVariable), os.Getenv(secretVariable)
	config, err := o.config(o.child)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process, for a read of standard input can't be taken back
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err = node.Run(ctx, config, o.version, nil)
	if errors.Is(err, cluster.ErrRemoved) {
		return &exitError{err, exitRemoved}
	}
	return err
}
