package httpapi

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// TestFewConnectionsAreFresh opens more connections than may be fresh: the next one is accepted
// only when one has been read or closed.
func TestFewConnectionsAreFresh(t *testing.T) {
	g, err := openGate("test", "127.0.0.1:0", maxConnections, nil, newConnections(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for range 3 * maxFresh {
		client, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	accepted := make(chan net.Conn, 3*maxFresh)
	go func() {
		for range 3 * maxFresh {
			if c, err := g.Accept(); err == nil {
				accepted <- c
			}
		}
		close(accepted)
	}()
	wait.For(t, "connections are accepted", func() bool { return len(accepted) == maxFresh })
	time.Sleep(50 * time.Millisecond) // in which more would be
	taken := 0
	for c := range accepted {
		if taken++; len(accepted) > maxFresh {
			t.Errorf("%d connections are fresh", len(accepted))
		}
		if taken%2 == 0 {
			_ = c.Close()
		} else if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
		_ = c.Close() // again; a connection is fresh once
	}
	if taken != 3*maxFresh || len(g.fresh) != 0 {
		t.Errorf("%d connections were accepted, and %d are fresh", taken, len(g.fresh))
	}
}
