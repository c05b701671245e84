package delivery

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

const (
	maxResponseHeader = 32 << 10 // bytes; with more, the attempt fails
	maxOneWrite       = 16 << 10 // bytes of a request that are copied to be written at once
)

// Sender makes single attempts. It is safe for concurrent use.
type Sender struct {
	dialer     *dialer
	timeout    time.Duration
	secrets    *secrets
	complaints *complaints
	clock      func() time.Time
	readers    sync.Pool // of *bufio.Reader; the headers of a response must fit into its buffer

	mu      sync.Mutex
	flights map[webhook.ID]map[*flight]struct{} // attempts in flight, by endpoint
}

// newSender returns a Sender that limits each attempt to config.Timeout.
func newSender(config *Config) *Sender {
	clock := config.Clock
	if clock == nil {
		clock = time.Now
	}
	return &Sender{dialer: newDialer(config), timeout: config.Timeout, secrets: newSecrets(config), complaints: newComplaints(config.Logger), clock: clock,
		readers: sync.Pool{New: func() any { return bufio.NewReaderSize(nil, maxResponseHeader) }},
		flights: make(map[webhook.ID]map[*flight]struct{})}
}

// send makes the attempt that was begun. In the attempt that it returns, the log sets the ID and
// the scheduler sets Next.
func (s *Sender) send(f *flight) (webhook.Attempt, reason, scheduler.Verdict) {
	defer s.end(f)
	start, begun, d := s.clock(), time.Now(), f.delivery
	a := webhook.Attempt{
		Message: d.Message.ID, Endpoint: d.Endpoint.ID, URL: d.Endpoint.URL, Number: d.Number, Trigger: webhook.TriggerScheduled,
		Task: d.Task, Status: webhook.StatusFail, Start: start.Truncate(time.Millisecond).UTC(),
	}
	if d.Source == webhook.SourceManual {
		a.Trigger = webhook.TriggerManual
	}
	response := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(response)
	response.StreamBody = true // only the part that we keep is read
	why := reasonSecret
	if opened, err := s.secrets.of(d.Endpoint); err != nil {
		s.complaints.make(reasonSecret, d.Endpoint, err)
		a.Response = []byte(notOpened)
	} else {
		why = s.exchange(f, opened, response, &a)
	}
	if why == reasonSuccess {
		a.Status = webhook.StatusSuccess
	}
	a.Duration = time.Since(begun).Truncate(time.Millisecond)
	return a, why, judge(response, &a, why, start)
}

// exchange sends the request and reads the part of the response that is kept.
func (s *Sender) exchange(f *flight, o *opened, response *fasthttp.Response, a *webhook.Attempt) reason {
	body := bodyOf(f.delivery.Message, f.delivery.Endpoint)
	head := o.appendRequest(nil, f.delivery.Message, body, a.Start)
	a.Trace = &webhook.Trace{Settings: o.settings}
	l, reader, err := s.roundTrip(f, o.url, head, body, response, a.Trace)
	if err != nil {
		why, text := classifyError(err, s.timeout)
		a.Response = []byte(text)
		if why.isOurFault() {
			s.complaints.make(why, f.delivery.Endpoint, err)
		}
		return why
	}
	a.StatusCode = uint16(response.StatusCode())
	why := classifyStatus(response.StatusCode())
	if a.StatusCode == fasthttp.StatusSwitchingProtocols {
		why, a.Response = reasonProtocol, []byte("the receiver switched to another protocol, which no request asks for")
		response.SetConnectionClose()
	}
	text, complete, err := readSome(response)
	switch {
	case why == reasonProtocol:
	case err != nil && why == reasonSuccess && len(text) == 0:
		// The receiver responded with 2xx. A lost body does not change that.
		a.Response = []byte("the status arrived, but the announced body did not")
	default:
		a.Response = text
	}
	limit := webhook.MaxHeaders
	if why == reasonSuccess {
		limit = webhook.MaxHeadersSuccess
	}
	keepHeaders(a.Trace, response, limit)
	a.Trace.Control, a.Trace.Received = controlOf(response), l.received
	reusable := complete && !response.ConnectionClose() && reader.Buffered() == 0
	s.release(reader)
	f.detach()
	if reusable {
		s.dialer.idle.put(l)
	} else {
		l.Close()
	}
	return why
}

// roundTrip writes the request to a connection and reads the headers of the answer. It uses another
// connection if the receiver cannot have received the request on the previous one.
func (s *Sender) roundTrip(f *flight, u webhook.URL, head, body []byte, response *fasthttp.Response, t *webhook.Trace) (*link, *bufio.Reader, error) {
	p := peer{address: u.Address(), secure: u.Secure, insecure: u.Secure && f.delivery.Endpoint.InsecureTLS}
	for {
		l := s.dialer.idle.take(p)
		if t.Reused = l != nil; l == nil {
			var err error
			if l, err = s.dialer.dial(f.ctx, p, t); err != nil {
				return nil, nil, f.cause(err)
			}
		}
		s.dialer.tracePeer(t, l)
		l.received, l.answered = 0, time.Time{}
		if err := f.attach(l.bottom); err != nil {
			l.Close()
			return nil, nil, err
		}
		begun := time.Now()
		err := f.write(l, head, body)
		if err == nil {
			t.Sent = uint32(len(head) + len(body))
			reader := s.readers.Get().(*bufio.Reader)
			reader.Reset(l)
			err = response.ReadLimitBody(reader, 0)
			if t.Received = l.received; !l.answered.IsZero() {
				t.FirstByte = l.answered.Sub(begun)
			}
			if err == nil {
				return l, reader, nil
			}
			s.release(reader)
		}
		f.detach()
		l.Close()
		if errors.Is(err, errStale) {
			continue
		}
		if err == io.EOF {
			err = fasthttp.ErrConnectionClosed
		}
		return nil, nil, f.cause(err)
	}
}

// release returns a reader to the pool, detached from its connection.
func (s *Sender) release(reader *bufio.Reader) {
	reader.Reset(nil)
	s.readers.Put(reader)
}

// readSome reads the first webhook.MaxResponse bytes of the body, and reports whether the body ends
// there.
func readSome(response *fasthttp.Response) (body []byte, complete bool, err error) {
	stream := response.BodyStream()
	if stream == nil {
		return nil, true, nil
	}
	if response.Header.ContentLength() != 0 {
		body, err = io.ReadAll(io.LimitReader(stream, webhook.MaxResponse+1))
	}
	complete = err == nil && len(body) <= webhook.MaxResponse
	if !complete {
		body = body[:min(len(body), webhook.MaxResponse)]
	}
	return body, complete, errors.Join(err, response.CloseBodyStream())
}
