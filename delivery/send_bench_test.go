package delivery

import (
	"bytes"
	"net"
	"testing"

	"hookwheel/webhook"
)

// benchReceiver responds to each request with the same bytes. It parses nothing: requests end in
// the same 4 bytes, and no other part of them contains these.
func benchReceiver(b *testing.B, end, response string) string {
	return rawServer(b, func(conn net.Conn) {
		buffer := make([]byte, 64<<10)
		for n := 0; ; {
			m, err := conn.Read(buffer[n:])
			if err != nil {
				return
			}
			if n += m; bytes.HasSuffix(buffer[:n], []byte(end)) {
				n = 0
				if _, err := conn.Write([]byte(response)); err != nil {
					return
				}
			}
		}
	})
}

// BenchmarkSend measures attempts at one endpoint, the receiver's part included.
func BenchmarkSend(b *testing.B) {
	for name, response := range map[string]string{
		"empty": "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Tue, 24 Nov 2026 12:00:09 GMT\r\nContent-Length: 0\r\n\r\n",
		"small": "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Tue, 24 Nov 2026 12:00:09 GMT\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
	} {
		b.Run(name, func(b *testing.B) {
			s := newTestSender(loopback)
			s.timeout = senderTimeout * 100
			defer s.dialer.abort()
			d := testDelivery("http://" + benchReceiver(b, "~~~~", response) + "/hook")
			d.Message.Payload = append(bytes.Repeat([]byte("x"), 1020), "~~~~"...)
			d.Message.ContentType = webhook.JSONContentType
			b.ReportAllocs()
			for b.Loop() {
				if a, why, _ := s.send(s.begin(d)); why != reasonSuccess {
					b.Fatalf("%s %s", why, a.Response)
				}
			}
		})
	}
}
