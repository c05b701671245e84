package httpapi_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/systemtest/wait"
)

// slowReceiver takes one request at a time, through a small window: it reads its first byte, and
// all that follows only when it is told to. It reports whether a request was whole, and answers it.
type slowReceiver struct {
	url   string
	began chan struct{}
	read  chan struct{}
	whole chan bool
}

func startSlowReceiver(t *testing.T) *slowReceiver {
	small := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r := &slowReceiver{"http://" + l.Addr().String() + "/", make(chan struct{}), make(chan struct{}), make(chan bool)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			first := make([]byte, 1)
			_, _ = conn.Read(first)
			r.began <- struct{}{}
			<-r.read
			_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			var text []byte
			for err == nil && !bytes.Contains(text, []byte(`END"}`)) {
				var n int
				buffer := make([]byte, 64<<10)
				n, err = conn.Read(buffer)
				text = append(text, buffer[:n]...)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")
			conn.Close()
			r.whole <- err == nil
		}
	}()
	return r
}

// Once a change is acknowledged, requests in flight that it forbids do not arrive, however much of
// them the kernel has accepted. Messages that are still to be sent are sent as soon as the change
// permits.
func TestChangesBreakOffAttempts(t *testing.T) {
	large := `{"eventType": "a", "payload": {"x": "` + strings.Repeat("x", 300<<10) + `END"}}`
	for name, test := range map[string]struct {
		change func(a *api, message, other string)
		after  func(a *api)
		again  string // where it is sent after all
	}{
		"delete":         {func(a *api, _, _ string) { a.call("DELETE", "/app/acme/endpoint/e", "", 204, nil) }, nil, ""},
		"delete the app": {func(a *api, _, _ string) { a.call("DELETE", "/app/acme", "", 204, nil) }, nil, ""},
		"pause": {func(a *api, _, _ string) { a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil) },
			func(a *api) { a.call("POST", "/app/acme/endpoint/e/resume", "", 200, nil) }, "same"},
		"disable": {func(a *api, _, _ string) { a.call("PATCH", "/app/acme/endpoint/e", `{"disabled": true}`, 200, nil) },
			func(a *api) { a.call("PATCH", "/app/acme/endpoint/e", `{"disabled": false}`, 200, nil) }, "same"},
		"another URL": {func(a *api, _, other string) {
			a.call("PATCH", "/app/acme/endpoint/e", `{"url": "`+other+`"}`, 200, nil)
		}, nil, "other"},
		"expunge": {func(a *api, message, _ string) { a.call("DELETE", "/app/acme/msg/"+message+"/content", "", 204, nil) }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := apiStart(t, func(c *config.Config) { c.API.MaxBody, c.Delivery.Timeout = 1<<20, time.Minute })
			first, other := startSlowReceiver(t), startSlowReceiver(t)
			a.call("POST", "/app", `{"name": "Acme", "uid": "acme"}`, 201, nil)
			a.call("POST", "/app/acme/endpoint", `{"uid": "e", "url": "`+first.url+`"}`, 201, nil)
			var message apiThing
			a.call("POST", "/app/acme/msg", large, 202, &message)
			<-first.began
			test.change(a, message.ID, other.url)
			first.read <- struct{}{}
			if <-first.whole {
				t.Error("all of it arrived after the change was acknowledged")
			}
			if test.after != nil {
				test.after(a)
			}
			if test.again == "" {
				return
			}
			to := map[string]*slowReceiver{"same": first, "other": other}[test.again]
			<-to.began
			to.read <- struct{}{}
			if !<-to.whole {
				t.Error("it is not sent again in full")
			}
			wait.For(t, "it is delivered", func() bool {
				var list apiList
				a.call("GET", "/app/acme/attempt/endpoint/e", "", 200, &list)
				return len(list.Data) > 0 && list.Data[0].ResponseStatusCode == http.StatusNoContent
			})
		})
	}
}
