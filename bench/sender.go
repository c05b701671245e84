package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	postTimeout = 30 * time.Second // for the answer to one POST
	grace       = time.Second      // for the answers still under way when the run is cut short
	maxResponse = 1 << 20          // bytes
)

// target is one URL that takes events, and all of a request to it that does not change.
type target struct {
	address       string // host:port
	secure        bool
	head          string // request line and headers
	before, after string // the JSON around the payload
	batch         int    // events of a request, as a JSON array; 0: one event by itself
}

// newTarget prepares POSTs of before + payload + after to link, with payloads of size bytes.
// Without a token they have no Authorization header.
func newTarget(link, token, before, after string, size int) (target, error) {
	return newBatchTarget(link, token, before, after, size, 0)
}

// newBatchTarget prepares POSTs of JSON arrays of so many items of that kind, unless batch is 0.
func newBatchTarget(link, token, before, after string, size, batch int) (target, error) {
	u, err := url.Parse(link)
	if err != nil {
		return target{}, fmt.Errorf("target %q: %w", link, err)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" || u.Hostname() == "" {
		return target{}, fmt.Errorf("target %q: expected a URL such as http://127.0.0.1:8071", link)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		u.RequestURI(), u.Host, bodySize(len(before)+size+len(after), batch))
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	return target{
		address: net.JoinHostPort(u.Hostname(), port),
		secure:  u.Scheme == "https",
		head:    head + "\r\n",
		before:  before,
		after:   after,
		batch:   batch,
	}, nil
}

func bodySize(item, batch int) int {
	if batch == 0 {
		return item
	}
	return len("[]") + batch*item + (batch-1)*len(",")
}

// dial connects to the target.
func (t *target) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: postTimeout}
	if t.secure {
		secure := tls.Dialer{NetDialer: &dialer}
		return secure.DialContext(ctx, "tcp", t.address)
	}
	return dialer.DialContext(ctx, "tcp", t.address)
}

// sender posts events over one keep-alive connection, one after the other. It shares its processor
// with the node that it measures, so it is frugal: a request is one slice of bytes, of which each
// event fills in the payload.
type sender struct {
	targets []target
	turn    int // which target is the next to connect to
	size    int // of a payload, in bytes

	// Of the connection; nil without one.
	conn     net.Conn
	release  func() bool
	reader   *bufio.Reader
	request  []byte
	payloads [][]byte // the parts of request that change

	response fasthttp.Response
}

func newSender(targets []target, turn, size int) *sender {
	return &sender{targets: targets, turn: turn, size: size, reader: bufio.NewReader(nil)}
}

// post sends one event, or as many as the target takes at once, beginning with that one, and waits
// for the answer, whose body holds until the next post. After an
// error the next post goes to the next target, so a node that is down does not take its share of
// the run with it.
func (s *sender) post(ctx context.Context, event int, sent int64) (status int, body []byte, err error) {
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return 0, nil, err
		}
	}
	for i, payload := range s.payloads {
		writePayload(payload, event+i, sent)
	}
	if err := s.exchange(); err != nil {
		s.close()
		return 0, nil, err
	}
	if s.response.ConnectionClose() {
		s.close()
	}
	return s.response.StatusCode(), s.response.Body(), nil
}

func (s *sender) exchange() error {
	if err := s.conn.SetDeadline(time.Now().Add(postTimeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(s.request); err != nil {
		return err
	}
	return s.response.ReadLimitBody(s.reader, maxResponse)
}

func (s *sender) connect(ctx context.Context) error {
	t := &s.targets[s.turn%len(s.targets)]
	s.turn++
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	s.conn = conn
	s.release = context.AfterFunc(ctx, func() { time.AfterFunc(grace, func() { conn.Close() }) })
	s.reader.Reset(conn)
	s.request, s.payloads = t.request(s.size)
	return nil
}

// request returns a request, and the parts of it where payloads go.
func (t *target) request(size int) (request []byte, payloads [][]byte) {
	item := len(t.before) + size + len(t.after)
	request = make([]byte, 0, len(t.head)+bodySize(item, t.batch))
	request = append(request, t.head...)
	separator := byte('[')
	for range max(t.batch, 1) {
		if t.batch > 0 {
			request = append(request, separator)
			separator = ','
		}
		request = append(request, t.before...)
		start := len(request)
		request = append(request[:start+size], t.after...)
		payloads = append(payloads, request[start:start+size])
	}
	if t.batch > 0 {
		request = append(request, ']')
	}
	return request, payloads
}

func (s *sender) close() {
	if s.conn != nil {
		s.release()
		s.conn.Close()
		s.conn = nil
	}
}
