package delivery

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/scheduler"
	"hookwheel/webhook"
)

const (
	maxResponseHeader = 32 << 10        // bytes; a larger one is a failed attempt
	idleConnection    = 5 * time.Second // shorter than receivers usually keep theirs
	connectionLife    = time.Minute     // so that a change of name or address is noticed
)

// Sender makes single attempts. It may be used from any goroutine.
type Sender struct {
	client     *fasthttp.Client
	lenient    *fasthttp.Client // for endpoints whose certificate is not verified: they share no connection with others
	dialer     *dialer
	timeout    time.Duration
	userAgent  string
	secrets    *secrets
	complaints *complaints
	clock      func() time.Time
}

// newSender makes one that waits at most config.Timeout for the whole of an attempt.
func newSender(config *Config) *Sender {
	s := &Sender{dialer: newDialer(config), timeout: config.Timeout, userAgent: config.UserAgent, secrets: newSecrets(config.Keyring),
		complaints: newComplaints(config.Logger), clock: config.Clock}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.client = s.newClient(config.Workers, false)
	s.lenient = s.newClient(config.Workers, true)
	return s
}

func (s *Sender) newClient(maxConns int, insecure bool) *fasthttp.Client {
	return &fasthttp.Client{
		DialTimeout: s.dialer.dial,
		// The TLS handshake is made under the deadline of the attempt; fasthttp's own would have none.
		ConfigureClient: func(host *fasthttp.HostClient) error {
			host.Transport = transport{}
			host.SecureErrorLogMessage = true // errors are told apart by name, and hold nothing of the answer
			if host.IsTLS {
				host.DialTimeout = func(address string, timeout time.Duration) (net.Conn, error) {
					return s.dialer.dialTLS(address, timeout, insecure)
				}
			}
			return nil
		},
		MaxConnsPerHost:          maxConns,
		MaxIdleConnDuration:      idleConnection,
		MaxConnDuration:          connectionLife,
		ReadTimeout:              s.timeout,
		WriteTimeout:             s.timeout,
		ReadBufferSize:           maxResponseHeader,
		StreamResponseBody:       true, // read as far as we keep it
		DisablePathNormalizing:   true, // the URL is the customer's
		NoDefaultUserAgentHeader: true,
		// A POST that may have arrived is an attempt. One that certainly did not goes to the next connection, of which all may be stale.
		MaxIdemponentCallAttempts: maxConns + 1,
		RetryIfErr:                func(_ *fasthttp.Request, _ int, err error) (bool, bool) { return false, errors.Is(err, errStale) },
	}
}

// transport lets go of a connection on which the receiver speaks another protocol from now on: fasthttp would use it again.
type transport struct{}

func (transport) RoundTrip(host *fasthttp.HostClient, request *fasthttp.Request, response *fasthttp.Response) (retry bool, err error) {
	retry, err = fasthttp.DefaultTransport.RoundTrip(host, request, response)
	if err == nil && response.StatusCode() == fasthttp.StatusSwitchingProtocols {
		host.CloseIdleConnections()
	}
	return retry, err
}

// send makes one attempt. What it returns lacks the ID, which the log gives, and Next, which the scheduler gives.
func (s *Sender) send(d webhook.Delivery) (webhook.Attempt, reason, scheduler.Verdict) {
	start, begun := s.clock(), time.Now()
	a := webhook.Attempt{
		Message: d.Message.ID, Endpoint: d.Endpoint.ID, URL: d.Endpoint.URL, Number: d.Number, Trigger: webhook.TriggerScheduled,
		Task: d.Task, Status: webhook.StatusFail, Start: start.Truncate(time.Millisecond).UTC(),
	}
	if d.Source == webhook.SourceManual {
		a.Trigger = webhook.TriggerManual
	}
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	why := s.prepare(request, d, start, &a)
	if why == reasonSuccess {
		why = s.exchange(request, response, d.Endpoint, &a)
	}
	if why == reasonSuccess {
		a.Status = webhook.StatusSuccess
	}
	a.Duration = time.Since(begun).Truncate(time.Millisecond)
	return a, why, judge(response, &a, why, start)
}

// prepare writes the request. Anything but success means that it can't be sent, and stands in a.
func (s *Sender) prepare(request *fasthttp.Request, d webhook.Delivery, now time.Time, a *webhook.Attempt) reason {
	opened, err := s.secrets.of(d.Endpoint)
	if err != nil {
		s.complaints.make(reasonSecret, d.Endpoint, err)
		a.Response = []byte(notOpened)
		return reasonSecret
	}
	u, err := webhook.ParseURL(d.Endpoint.URL)
	if err != nil { // it was checked when the endpoint was made
		a.Response = []byte("not sent: " + err.Error())
		return reasonBlocked
	}
	request.SetRequestURI(u.String())
	request.UseHostHeader = true
	request.Header.SetHost(u.HostPort())
	request.Header.Set("Accept", "*/*")
	if credentials := u.Authorization(); credentials != "" {
		request.Header.Set("Authorization", credentials)
	}
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetUserAgent(s.userAgent)
	writeMessage(request, d)
	for name, value := range opened.headers {
		request.Header.Set(name, value)
	}
	sign(request, opened, d, now)
	return reasonSuccess
}

func writeMessage(request *fasthttp.Request, d webhook.Delivery) {
	contentType := d.Message.ContentType
	if d.Endpoint.Envelope || contentType == "" {
		contentType = webhook.JSONContentType
	}
	request.Header.SetContentType(contentType)
	if d.Endpoint.Envelope {
		request.SetBodyRaw(webhook.AppendEnvelope(nil, d.Message))
	} else {
		request.SetBodyRaw(d.Message.Payload)
	}
}

// sign adds the headers of Standard Webhooks 1.0.0; the svix- headers say the same for receivers that verify with a Svix library,
// and the endpoint's style may add one more.
func sign(request *fasthttp.Request, opened *opened, d webhook.Delivery, now time.Time) {
	id := d.Message.ID.Text(webhook.KindMessage)
	seconds := now.Unix()
	timestamp := strconv.FormatInt(seconds, 10)
	body := request.Body()
	signature := string(opened.appendSignatures(nil, now, id, seconds, body))
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", timestamp)
	request.Header.Set("Webhook-Signature", signature)
	request.Header.Set("Svix-Id", id)
	request.Header.Set("Svix-Timestamp", timestamp)
	request.Header.Set("Svix-Signature", signature)
	if d.Endpoint.Style == webhook.StyleStandard {
		return
	}
	if secrets := opened.shared(now); len(secrets) > 0 {
		request.Header.Set(d.Endpoint.Style.Header(), d.Endpoint.Style.Sign(secrets, seconds, body))
	}
}

// exchange sends the request and reads as much of the answer as is kept.
func (s *Sender) exchange(request *fasthttp.Request, response *fasthttp.Response, endpoint *webhook.Endpoint, a *webhook.Attempt) reason {
	client := s.client
	if endpoint.InsecureTLS {
		client = s.lenient
	}
	if err := client.DoTimeout(request, response, s.timeout); err != nil {
		why, text := classifyError(err, s.timeout)
		a.Response = []byte(text)
		if why.ours() {
			s.complaints.make(why, endpoint, err)
		}
		return why
	}
	a.StatusCode = uint16(response.StatusCode())
	if a.StatusCode == fasthttp.StatusSwitchingProtocols {
		a.Response = []byte("the receiver switched to another protocol, which no request asks for")
		return reasonProtocol
	}
	why := classifyStatus(response.StatusCode())
	body, err := readSome(response)
	if err != nil && why == reasonSuccess && len(body) == 0 {
		// The receiver said 2xx; that what it said next got lost on the way changes nothing.
		body = []byte("the status arrived, the body that it announces did not")
	}
	a.Response = body
	return why
}

// readSome reads the first webhook.MaxResponse bytes of the body. A longer one ends the connection.
func readSome(response *fasthttp.Response) (body []byte, err error) {
	stream := response.BodyStream()
	if stream == nil {
		return nil, nil
	}
	if response.Header.ContentLength() != 0 {
		body, err = io.ReadAll(io.LimitReader(stream, webhook.MaxResponse+1))
	}
	if len(body) > webhook.MaxResponse {
		body = body[:webhook.MaxResponse]
	}
	return body, errors.Join(err, response.CloseBodyStream())
}
