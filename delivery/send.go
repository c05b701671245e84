package delivery

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

const (
	maxResponseHeader = 32 << 10 // bytes; with more, the attempt fails
	maxOneWrite       = 16 << 10 // bytes of a request that are copied to be written at once
	maxRequestKept    = 64 << 10 // bytes of memory for requests that is used again
)

// errNoStatus means that a receiver has sent a status that there can't be, such as 000.
var errNoStatus = errors.New("the status is less than 100")

// statusField is where fasthttp keeps a status. Its method StatusCode returns 200 for 000.
var statusField, _ = reflect.TypeFor[fasthttp.ResponseHeader]().FieldByName("statusCode")

func statusOf(h *fasthttp.ResponseHeader) int {
	return int(reflect.ValueOf(h).Elem().FieldByIndex(statusField.Index).Int())
}

// Sender makes single attempts. It is safe for concurrent use.
type Sender struct {
	dialer     *dialer
	timeout    time.Duration
	secrets    *secrets
	complaints *complaints
	clock      func() time.Time
	buffers    sync.Pool // of *buffers

	mu      sync.Mutex
	flights map[*flight]struct{} // attempts in flight
}

// buffers are the memory of one attempt that the next one uses again.
type buffers struct {
	request []byte
	reader  *bufio.Reader // the headers of a response must fit into its buffer
	text    []byte        // of a response
}

// newSender returns a Sender that limits each attempt to config.Timeout.
func newSender(config *Config) *Sender {
	clock := config.Clock
	if clock == nil {
		clock = time.Now
	}
	return &Sender{dialer: newDialer(config), timeout: config.Timeout, secrets: newSecrets(config), complaints: newComplaints(config.Logger), clock: clock,
		buffers: sync.Pool{New: func() any { return &buffers{reader: bufio.NewReaderSize(nil, maxResponseHeader)} }},
		flights: make(map[*flight]struct{})}
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
	var why reason
	var rest time.Duration
	if opened, err := s.secrets.of(d.Endpoint); err != nil {
		s.complaints.make(reasonSecret, d.Endpoint, err)
		why, a.Response = reasonSecret, []byte(notOpened)
	} else {
		why, rest = s.exchange(f, opened, &a)
	}
	if why == reasonSuccess {
		a.Status = webhook.StatusSuccess
	}
	a.Duration = time.Since(begun).Truncate(time.Millisecond)
	return a, why, judge(&a, why, rest)
}

// exchange sends the request and reads the part of the response that is kept. It also returns for
// how long the response asks not to be called.
func (s *Sender) exchange(f *flight, o *opened, a *webhook.Attempt) (why reason, rest time.Duration) {
	b := s.buffers.Get().(*buffers)
	response := fasthttp.AcquireResponse()
	defer func() {
		fasthttp.ReleaseResponse(response)
		s.release(b)
	}()
	response.StreamBody = true // only the part that we keep is read
	body := bodyOf(f.delivery.Message, f.delivery.Endpoint)
	a.Trace = &webhook.Trace{Settings: o.settings, Propagated: o.propagates && f.delivery.Message.Trace != nil}
	b.request = o.appendRequest(b.request[:0], f.delivery.Message, body, a)
	l, err := s.roundTrip(f, o.peer, b, body, response, a.Trace)
	if err != nil {
		why, text := classifyError(err, s.timeout)
		a.Response = errorText(text)
		if why.isOurFault() {
			s.complaints.make(why, f.delivery.Endpoint, err)
		}
		return why, 0
	}
	why, complete := s.take(response, b, a)
	a.Trace.Received = l.received
	f.detach()
	if complete && !response.ConnectionClose() && b.reader.Buffered() == 0 {
		s.dialer.idle.put(l)
	} else {
		l.Close()
	}
	return why, restOf(response, a.Start)
}

// take keeps what an attempt shows of a response, and reports whether the whole response was read.
func (s *Sender) take(response *fasthttp.Response, b *buffers, a *webhook.Attempt) (why reason, complete bool) {
	a.StatusCode = uint16(response.StatusCode())
	why = classifyStatus(response.StatusCode())
	if a.StatusCode == fasthttp.StatusSwitchingProtocols {
		why, a.Response = reasonProtocol, []byte("the receiver switched to another protocol, which no request asks for")
		response.SetConnectionClose()
	}
	complete, err := b.readSome(response)
	switch {
	case why == reasonProtocol:
	case err != nil && why == reasonSuccess && len(b.text) == 0:
		// The receiver responded with 2xx. A lost body does not change that.
		a.Response = []byte("the status arrived, but the announced body did not")
	case len(b.text) > 0:
		a.Response = bytes.Clone(b.text)
	}
	limit := webhook.MaxHeaders
	if why == reasonSuccess {
		limit = webhook.MaxHeadersSuccess
	}
	b.text, a.Trace.HeadersCut = appendHeaders(b.text[:0], response, limit)
	a.Trace.Headers, a.Trace.Control = bytes.Clone(b.text), controlOf(response)
	return why, complete
}

// roundTrip writes the request to a connection and reads the headers of the answer. It uses
// another connection if the receiver cannot have received the request on the previous one.
func (s *Sender) roundTrip(f *flight, p peer, b *buffers, body []byte, response *fasthttp.Response, t *webhook.Trace) (*link, error) {
	size := len(b.request) + len(body)
	if size <= maxOneWrite {
		b.request, body = append(b.request, body...), nil
	}
	for {
		l, err := s.connect(f, p, t)
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		if err = f.write(l, b.request, body); err == nil {
			t.Sent = uint32(size)
			b.reader.Reset(l)
			if err = response.ReadLimitBody(b.reader, 0); err == nil && statusOf(&response.Header) < 100 {
				err = errNoStatus
			}
			if t.Received = l.received; !l.answered.IsZero() {
				t.FirstByte = l.answered.Sub(begun)
			}
			if err == nil {
				return l, nil
			}
		}
		f.detach()
		l.Close()
		if errors.Is(err, errStale) {
			continue
		}
		if err == io.EOF {
			err = fasthttp.ErrConnectionClosed
		}
		return nil, f.cause(err)
	}
}

// connect returns a connection, attached to the attempt, for one request.
func (s *Sender) connect(f *flight, p peer, t *webhook.Trace) (*link, error) {
	l := s.dialer.takeIdle(p)
	if t.Reused = l != nil; l == nil {
		ctx, err := f.dialing()
		if err != nil {
			return nil, err
		}
		l, err = s.dialer.dial(ctx, p, t)
		f.dialed()
		if err != nil {
			return nil, f.cause(err)
		}
	}
	l.trace(t)
	l.received, l.answered = 0, time.Time{}
	if err := f.attach(l.bottom); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// release keeps the memory of an attempt for others, detached from its connection.
func (s *Sender) release(b *buffers) {
	b.reader.Reset(nil)
	if cap(b.request) > maxRequestKept {
		b.request = nil
	}
	s.buffers.Put(b)
}

// readSome reads the first webhook.MaxResponse bytes of the body into b.text, and reports whether
// the body ends there.
func (b *buffers) readSome(response *fasthttp.Response) (complete bool, err error) {
	b.text = b.text[:0]
	stream := response.BodyStream()
	if stream == nil {
		return true, nil
	}
	if response.Header.ContentLength() != 0 {
		b.text, err = appendUpTo(b.text, stream, webhook.MaxResponse+1)
	}
	complete = err == nil && len(b.text) <= webhook.MaxResponse
	if !complete {
		b.text = b.text[:min(len(b.text), webhook.MaxResponse)]
	}
	return complete, errors.Join(err, response.CloseBodyStream())
}

// appendUpTo appends what r holds until dst has that many bytes. It returns what it has read beside
// an error, as io.ReadAll does.
func appendUpTo(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		dst = slices.Grow(dst, min(512, limit-len(dst)))
		n, err := r.Read(dst[len(dst):min(cap(dst), limit)])
		dst = dst[:len(dst)+n]
		if err == io.EOF || len(dst) == limit {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
