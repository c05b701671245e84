package tracing

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	maxPending    = 2 << 20          // bytes of spans that wait, and again of those that are being sent
	enough        = maxPending / 4   // that are sent at once
	interval      = time.Second      // after which any spans are sent
	postTime      = 10 * time.Second // for one request, as OTLP suggests
	retryTime     = time.Minute      // after which spans are dropped that the collector does not take
	firstRetry    = time.Second
	maxRetry      = 10 * time.Second
	maxRetryAfter = 60              // seconds
	flushPatience = 3 * time.Second // for everything at the end
	warnInterval  = time.Minute
	maxResponse   = 64 << 10 // bytes
	maxQuoted     = 200      // characters of what a collector says that are logged
)

// Why spans are dropped.
const (
	dropFull    = "full"    // there was no room
	dropFailed  = "failed"  // the collector could not be reached, or returned an error
	dropRefused = "refused" // by the collector, which has taken others of the same request
)

// exporter sends spans to a collector.
type exporter struct {
	config          *Config
	client          *http.Client
	log             *slog.Logger
	resource, scope []byte
	exported        prometheus.Counter
	dropped         *prometheus.CounterVec
	full            prometheus.Counter
	scratch         sync.Pool // of *[]byte

	wake    chan struct{}
	closing chan struct{}
	done    chan struct{}
	ctx     context.Context // of requests
	cancel  context.CancelFunc

	mu      sync.Mutex
	pending batch
	closed  bool

	// For the goroutine only.
	failing bool
	warned  time.Time
}

// batch is encoded spans, next to each other.
type batch struct {
	data  []byte
	count int
}

func newExporter(config *Config) *exporter {
	e := &exporter{config: config, log: config.Logger.With("component", "tracing"), client: newClient(), wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}),
		scratch:  sync.Pool{New: func() any { return new([]byte) }},
		exported: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookwheel_spans_exported_total", Help: "Spans of traces that the collector has taken from this node."}),
		dropped:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookwheel_spans_dropped_total", Help: "Spans of traces that were not exported, by reason."}, []string{"reason"})}
	for key, value := range map[string]string{"service.name": "hookwheel", "service.version": config.Version, "service.instance.id": config.Node} {
		e.resource = appendText(e.resource, ofResource, key, value)
	}
	e.scope = appendString(appendString(nil, scopeName, "hookwheel"), scopeVersion, config.Version)
	e.full = e.dropped.WithLabelValues(dropFull)
	for _, reason := range []string{dropFailed, dropRefused} {
		e.dropped.WithLabelValues(reason)
	}
	config.Metrics.MustRegister(e.exported, e.dropped)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	go e.run()
	return e
}

// newClient follows no redirect, which would get the headers.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = 1
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// add keeps a span to be sent, or drops it.
func (e *exporter) add(s *span) {
	scratch := e.scratch.Get().(*[]byte)
	defer e.scratch.Put(scratch)
	*scratch = s.append((*scratch)[:0])
	e.mu.Lock()
	defer e.mu.Unlock()
	size := protowire.SizeTag(spanOfScope) + protowire.SizeBytes(len(*scratch))
	if e.closed || len(e.pending.data)+size > maxPending {
		e.full.Inc()
		return
	}
	e.pending.data = protowire.AppendTag(e.pending.data, spanOfScope, protowire.BytesType)
	e.pending.data = protowire.AppendBytes(e.pending.data, *scratch)
	e.pending.count++
	if len(e.pending.data) >= enough {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// take returns what waits; spare is memory for what comes next.
func (e *exporter) take(spare []byte) batch {
	e.mu.Lock()
	defer e.mu.Unlock()
	b := e.pending
	e.pending = batch{data: spare[:0]}
	return b
}

func (e *exporter) run() {
	defer close(e.done)
	defer e.client.CloseIdleConnections()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var spare []byte
	for open := true; open; {
		select {
		case <-tick.C:
		case <-e.wake:
		case <-e.closing:
			open = false
		}
		if b := e.take(spare); b.count > 0 {
			e.export(&b)
			spare = b.data
		} else {
			spare = nil // an idle node keeps no memory for this
		}
	}
}

// close ends the goroutine, which sends what waits until flushPatience is over.
func (e *exporter) close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	close(e.closing)
	late := time.AfterFunc(flushPatience, e.cancel)
	defer late.Stop()
	<-e.done
	e.cancel()
	return nil
}

// export sends a batch, again and again while that may help. The last try is the first one after
// close was called.
func (e *exporter) export(b *batch) {
	pause, end := firstRetry, time.Now().Add(retryTime)
	for {
		last := e.isClosing() || time.Now().After(end)
		refused, why, err := e.post(b)
		if err == nil {
			e.succeeded(b, refused, why)
			return
		}
		e.warn(err)
		var again *retryError
		if last || !errors.As(err, &again) {
			e.dropped.WithLabelValues(dropFailed).Add(float64(b.count))
			return
		}
		e.pause(max(again.after, pause+rand.N(pause/2)))
		pause = min(2*pause, maxRetry)
	}
}

func (e *exporter) isClosing() bool {
	select {
	case <-e.closing:
		return true
	default:
		return false
	}
}

// pause waits; the end of the exporter cuts it short.
func (e *exporter) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.closing:
	}
}

// retryError is a failure after which the same request may succeed.
type retryError struct {
	error
	after time.Duration // which the collector asks for; 0: it does not say
}

func (r *retryError) Unwrap() error { return r.error }

// post makes one request.
func (e *exporter) post(b *batch) (rejected int, why string, err error) {
	ctx, cancel := context.WithTimeout(e.ctx, postTime)
	defer cancel()
	head := envelope(e.resource, e.scope, len(b.data))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.config.Endpoint, io.MultiReader(bytes.NewReader(head), bytes.NewReader(b.data)))
	if err != nil {
		return 0, "", err
	}
	request.ContentLength = int64(len(head) + len(b.data))
	request.Header = e.config.Headers.Clone()
	if request.Header == nil {
		request.Header = make(http.Header)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("User-Agent", "Hookwheel/"+e.config.Version)
	response, err := e.client.Do(request)
	if err != nil {
		return 0, "", &retryError{error: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	switch {
	case response.StatusCode/100 == 2: // what follows does not change that
		rejected, why = refused(text)
		return rejected, why, nil
	case err == nil:
		err = fmt.Errorf("the collector returned %.*s", maxQuoted, response.Status)
	}
	switch response.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		err = &retryError{err, time.Duration(min(max(seconds, 0), maxRetryAfter)) * time.Second}
	}
	return 0, "", err
}

func (e *exporter) succeeded(b *batch, refused int, why string) {
	refused = min(refused, b.count)
	e.exported.Add(float64(b.count - refused))
	e.dropped.WithLabelValues(dropRefused).Add(float64(refused))
	if refused > 0 || why != "" {
		e.warn(fmt.Errorf("the collector refused %d of %d spans: %.*q", refused, b.count, maxQuoted, why))
		return
	}
	if e.failing {
		e.failing = false
		e.log.Info("traces are exported again")
	}
}

// warn logs a failure, but not each of many.
func (e *exporter) warn(err error) {
	if now := time.Now(); !e.failing || now.Sub(e.warned) >= warnInterval {
		e.warned = now
		e.log.Warn("traces can't be exported; deliveries are not affected", "error", err)
	}
	e.failing = true
}
