package delivery

import (
	"net"
	"testing"
	"time"

	"hookwheel/webhook"
)

// FuzzResponse has receivers answer with any bytes: an attempt ends in time, keeps no more than it
// may, and what was said too much is not taken for the answer to the next one.
func FuzzResponse(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n", "HTTP/1.0 503 Busy\r\nRetry-After: 99999999999\r\n\r\nno",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "\x16\x03\x01",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		closed := make(chan struct{}, 2)
		go func() {
			for _, text := range []string{string(response), "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\n\r\n"} {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				say(text)(conn)
				conn.Close()
				closed <- struct{}{}
			}
		}()
		s := newTestSender(loopback)
		s.timeout = 5 * time.Second
		defer s.dialer.abort()
		start := time.Now()
		a, why, _ := s.send(s.begin(testDelivery("http://" + l.Addr().String())))
		if len(a.Response) > webhook.MaxResponse || time.Since(start) > time.Minute || (why == reasonSuccess) != (a.StatusCode/100 == 2) {
			t.Errorf("%d %s %.100q", a.StatusCode, why, a.Response)
		}
		<-closed // an attempt on a connection that is closed at that moment fails
		if a, why, _ := s.send(s.begin(testDelivery("http://" + l.Addr().String()))); a.StatusCode != 299 {
			t.Errorf("the next attempt: %d %s %.100q", a.StatusCode, why, a.Response)
		}
	})
}
