package bench

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	relayWorkers = 64           // deliveries at a time
	relayQueue   = relayWorkers // deliveries that wait for a worker
	relayBody    = 16 << 20     // bytes of a request, as many as a node takes at once
)

// relay is the least that a durable relay of webhooks can be: it accepts the events of a Load,
// writes them to a log, responds, and delivers each once, signed. It has no retries, no order, no
// API beyond what a run needs, and reads nothing back. What it reaches is therefore a ceiling for
// a node that uses the same HTTP library, on the same machine with the same load.
type relay struct {
	secret webhook.Secret
	log    *relayLog // nil: it keeps nothing
	client fasthttp.Client
	usage  *prometheus.Registry
	count  atomic.Uint64 // events accepted
	out    chan relayed

	mu        sync.Mutex
	endpoints []string // URLs
}

// relayed is an event on its way to an endpoint.
type relayed struct {
	url     string
	id      uint64
	payload []byte
}

// Relay serves at an address until the context ends, and first writes its URL to out. With the name
// of a file it syncs each event to it before it responds; the file is created and removed.
func Relay(ctx context.Context, address, file string, out io.Writer) (err error) {
	r := &relay{
		secret: make(webhook.Secret, sha256.Size),
		client: fasthttp.Client{MaxConnsPerHost: relayWorkers, NoDefaultUserAgentHeader: true},
		usage:  prometheus.NewRegistry(),
		out:    make(chan relayed, relayQueue),
	}
	rand.Read(r.secret)
	r.usage.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if file != "" {
		if r.log, err = newRelayLog(file); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.log.close()) }()
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	var workers sync.WaitGroup
	for range relayWorkers {
		workers.Go(r.deliverAll)
	}
	defer workers.Wait()
	defer close(r.out) // after the last request
	return r.serve(ctx, listener, out)
}

func (r *relay) serve(ctx context.Context, listener net.Listener, out io.Writer) error {
	server := fasthttp.Server{Handler: r.handle, MaxRequestBodySize: relayBody, NoDefaultServerHeader: true, NoDefaultDate: true, LazyRequestTime: true, CloseOnShutdown: true}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return errors.Join(err, server.Shutdown(), <-served)
	}
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		return errors.Join(server.Shutdown(), <-served)
	}
}

// handle answers all that a run asks for.
func (r *relay) handle(ctx *fasthttp.RequestCtx) {
	path := string(ctx.Path())
	switch {
	case strings.HasSuffix(path, "/msg"), strings.HasSuffix(path, "/msg/batch"):
		r.accept(ctx, strings.HasSuffix(path, "/batch"))
	case strings.HasSuffix(path, "/endpoint"):
		_, rest, _ := strings.Cut(string(ctx.PostBody()), `"url":"`)
		url, _, _ := strings.Cut(rest, `"`)
		r.mu.Lock()
		r.endpoints = append(r.endpoints, url)
		r.mu.Unlock()
		relayRespond(ctx, 201, `{"id":"ep"}`)
	case strings.HasSuffix(path, "/secret"):
		relayRespond(ctx, 200, `{"key":"`+r.secret.Text()+`"}`)
	case strings.HasSuffix(path, "/health"):
		relayRespond(ctx, 200, `{"node":"relay"}`)
	case path == "/metrics":
		r.metrics(ctx)
	case ctx.IsDelete():
		ctx.SetStatusCode(204)
	default:
		relayRespond(ctx, 201, `{"id":"app"}`)
	}
}

func relayRespond(ctx *fasthttp.RequestCtx, status int, body string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBodyString(body)
}

func (r *relay) metrics(ctx *fasthttp.RequestCtx) {
	families, err := r.usage.Gather()
	encoder := expfmt.NewEncoder(ctx, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		err = errors.Join(err, encoder.Encode(family))
	}
	if err != nil {
		ctx.Error(err.Error(), 500)
	}
}

// accept takes the events of a request. It returns when they are in the log and all of them have a
// place on the way to their endpoints, so that what is under way is bounded.
func (r *relay) accept(ctx *fasthttp.RequestCtx, isBatch bool) {
	body := bytes.Clone(ctx.PostBody())
	var events [][]byte
	for rest := body; ; {
		_, payload, found := bytes.Cut(rest, []byte(messageBefore))
		end := bytes.IndexByte(payload, '}') // there is none in the payloads of this package
		if !found || end < 0 {
			break
		}
		events, rest = append(events, payload[:end+1]), payload[end+1:]
	}
	if r.log != nil {
		if err := r.log.append(body); err != nil {
			ctx.Error(err.Error(), 500)
			return
		}
	}
	r.mu.Lock()
	endpoints := r.endpoints
	r.mu.Unlock()
	response := make([]byte, 0, 64)
	for i, payload := range events {
		id := r.count.Add(1)
		for _, url := range endpoints {
			r.out <- relayed{url, id, payload}
		}
		separator := ","
		if i == 0 {
			separator = ""
		}
		response = append(response, separator+`{"id":"`...)
		response = append(appendRelayID(response, id), `"}`...)
	}
	if isBatch {
		response = append(append([]byte{'['}, response...), ']')
	}
	ctx.SetStatusCode(202)
	ctx.SetContentType("application/json")
	ctx.SetBody(response)
}

// appendRelayID appends an id as long as those of messages are.
func appendRelayID(dst []byte, id uint64) []byte {
	const digits = 26
	start := len(dst)
	dst = append(dst, "msg_00000000000000000000000000"...)
	writeDigits(dst[start+len("msg_"):start+len("msg_")+digits], int64(id))
	return dst
}

// deliverAll delivers until there is nothing more to come. What fails is lost, as the run will
// find.
func (r *relay) deliverAll() {
	mac := hmac.New(sha256.New, r.secret)
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(request)
	defer fasthttp.ReleaseResponse(response)
	for event := range r.out {
		request.Reset()
		request.Header.SetMethod("POST")
		request.Header.SetContentType("application/json")
		request.SetRequestURI(event.url)
		signRelayed(&request.Header, mac, event, time.Now().Unix())
		request.SetBodyRaw(event.payload)
		_ = r.client.DoTimeout(request, response, callTimeout)
	}
}

// signRelayed adds the headers that a node adds.
func signRelayed(header *fasthttp.RequestHeader, mac hash.Hash, event relayed, seconds int64) {
	id := appendRelayID(make([]byte, 0, 32), event.id)
	timestamp := strconv.AppendInt(make([]byte, 0, 20), seconds, 10)
	mac.Reset()
	mac.Write(append(id, '.'))
	mac.Write(append(timestamp, '.'))
	mac.Write(event.payload)
	signature := base64.StdEncoding.AppendEncode([]byte("v1,"), mac.Sum(make([]byte, 0, sha256.Size)))
	for _, prefix := range [...]string{"Webhook-", "Svix-"} {
		header.SetBytesV(prefix+"Id", id)
		header.SetBytesV(prefix+"Timestamp", timestamp)
		header.SetBytesV(prefix+"Signature", signature)
	}
}
