package systemtest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"hookwheel/systemtest/process"
)

// oneAddress passes connections on to nodes, as a load balancer does: to the same node as before
// while that accepts them.
type oneAddress struct {
	net.Listener
	nodes  []string
	chosen atomic.Int32
	open   sync.WaitGroup
}

func listenForAll(t *testing.T, nodes []string, first int) *oneAddress {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &oneAddress{Listener: l, nodes: nodes}
	a.chosen.Store(int32(first))
	a.open.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			a.open.Go(func() { a.pass(conn) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		a.open.Wait()
	})
	return a
}

// pass connects a client with a node until one of them closes the connection.
func (a *oneAddress) pass(client net.Conn) {
	defer client.Close()
	node := a.dial()
	if node == nil {
		return
	}
	defer node.Close()
	var copying sync.WaitGroup
	for _, pair := range [][2]net.Conn{{node, client}, {client, node}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[0], pair[1]) // ends when either side has gone
			_, _ = pair[0].Close(), pair[1].Close()
		})
	}
	copying.Wait()
}

func (a *oneAddress) dial() net.Conn {
	for range a.nodes {
		chosen := a.chosen.Load()
		conn, err := net.Dial("tcp", a.nodes[chosen])
		if err == nil {
			return conn
		}
		a.chosen.CompareAndSwap(chosen, (chosen+1)%int32(len(a.nodes)))
	}
	return nil
}

// Pages that are open and live go on by themselves when the leader is killed, and when all nodes
// are.
func TestPagesThroughLostNodes(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		skipOutsideCI(t, "chromium")
	}
	dir := filepath.Join("..", "httpapi", "pages", "test")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		skipOutsideCI(t, "playwright-core")
	}
	c := startDevCluster(t)
	addresses := make([]string, clusterSize)
	for i := range addresses {
		addresses[i] = c.caller.nodes[i][len("http://"):]
	}
	leader := c.awaitHealth(t, 1, 2, 3)
	address := listenForAll(t, addresses, leader-1)
	cmd := exec.CommandContext(process.Context(t), "node", "failover.mjs", "http://"+address.Addr().String(), systemToken, chromium, os.Getenv("HOOKWHEEL_SCREENSHOTS"))
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		switch lines.Text() {
		case "KILL LEADER":
			c.kill(t, c.awaitHealth(t, 1, 2, 3))
		case "KILL ALL":
			c.kill(t, 1, 2, 3)
		default:
			continue
		}
		if _, err := io.WriteString(in, "DONE\n"); err != nil {
			t.Error(err)
		}
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
}
