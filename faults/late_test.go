package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"hookwheel/systemtest/wait"
)

// latePad is more than a receiver's kernel takes before the receiver reads, and less than a
// sender's holds.
const latePad = 200 << 10

// lateScenario: a receiver reads a request only when the attempt was given up and the endpoint is
// deleted. The request must not come to its end then.
func lateScenario() scenario {
	run := func(tr *trial) (found []string, err error) {
		listener, err := sleepyListener()
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		path := "/app/" + scene + "/endpoint/" + scene
		in := map[string]string{"url": "http://" + listener.Addr().String() + "/"}
		if status, text, err := tr.call(0, "PATCH", path, in, nil); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("changing the URL: %d %s, %w", status, text, err)
		}
		var made struct{ ID string }
		status, text, err := tr.call(0, "POST", "/app/"+scene+"/msg", map[string]any{"eventType": scene,
			"payload": map[string]string{"pad": strings.Repeat("-", latePad)}}, &made)
		if err != nil || status != http.StatusAccepted {
			return nil, fmt.Errorf("sending: %d %s, %w", status, text, err)
		}
		conn, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		err = wait.Until(patience, "the attempt is given up", func() (failed bool) {
			_ = tr.pages(0, "/app/"+scene+"/attempt/msg/"+made.ID, func(item) { failed = true }) // it is asked again
			return failed
		})
		if err != nil {
			return nil, err
		}
		if status, text, err := tr.call(0, "DELETE", path, nil, nil); err != nil || status != http.StatusNoContent {
			return nil, fmt.Errorf("deleting the endpoint: %d %s, %w", status, text, err)
		}
		err = conn.SetReadDeadline(time.Now().Add(patience))
		if err != nil {
			return nil, err
		}
		n, err := readRequest(conn)
		var late net.Error
		switch {
		case err == nil:
			return []string{fmt.Sprintf("a request with %d bytes arrived whole after its endpoint was deleted", n)}, nil
		case errors.As(err, &late) && late.Timeout():
			return nil, errors.New("the connection of an attempt that was given up stays open")
		}
		return nil, nil
	}
	s := scenario{setup: sceneSetup("", func(context.Context, int) int { return http.StatusOK }), run: run}
	s.setup.delivery = "  timeout = \"1s\"\n  retry {\n    schedule = [\"1h\"]\n  }"
	return s
}

// sleepyListener takes connections whose data stays with the sender until it is read.
func sleepyListener() (*net.TCPListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) (err error) {
		controlErr := conn.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
		return errors.Join(controlErr, err)
	}}
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// readRequest returns the length of the body of a request that is whole.
func readRequest(conn net.Conn) (int64, error) {
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, request.Body)
}
