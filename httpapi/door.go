package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// How many connections clients may have open on an address, file descriptors permitting. The API
// may have as many as all together.
const (
	maxPortalConnections  = maxConnections / 2
	maxMetricsConnections = 100
)

// door is an address on which the server listens.
type door struct {
	name     string // in errors and the log
	gate     *gate
	listener net.Listener // the gate, or TLS on top of it
	http     *fasthttp.Server
	router   fasthttp.RequestHandler
	served   chan error
}

// openDoor listens, but does not serve yet. Connections to it are limited to that many.
func (s *Server) openDoor(name, address string, limit int) (*door, error) {
	gate, err := openGate(name, address, limit, s.config.Descriptors, s.open, s.config.Logger)
	if err != nil {
		return nil, fmt.Errorf("listening for the %s: %w", name, err)
	}
	d := &door{name: name, gate: gate, listener: gate, served: make(chan error, 1)}
	if s.config.TLS != nil {
		d.listener = &secureGate{gate, s.handshakes, s.config.TLS}
	}
	d.http = &fasthttp.Server{
		Handler:                      func(ctx *fasthttp.RequestCtx) { s.serve(ctx, d.router) },
		HeaderReceived:               s.intake.received,
		StreamRequestBody:            true, // so that the body is read only for callers who may send one
		DisablePreParseMultipartForm: true,
		ErrorHandler:                 s.refuse,
		Name:                         "Hookwheel",
		Concurrency:                  limit + closingConnections,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxRequestBodySize:           s.config.MaxBody,
		ReadBufferSize:               maxHeader,
		CloseOnShutdown:              true,
		NoDefaultContentType:         true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		Logger:                       serverLog{s.config.Logger},
	}
	d.warnPlain(s)
	return d, nil
}

// warnPlain logs a warning if tokens can be read on the network.
func (d *door) warnPlain(s *Server) {
	address, is := d.gate.Addr().(*net.TCPAddr)
	if s.config.TLS == nil && is && !address.IP.IsLoopback() {
		s.config.Logger.Warn("the "+d.name+" listens without TLS on an address that others can reach: whoever is on the way can read tokens. "+
			"Set api.tls, or put a proxy with TLS in front and listen on 127.0.0.1", "listen", address.String())
	}
}

func (d *door) addr() string {
	if d == nil {
		return ""
	}
	return d.listener.Addr().String()
}

// shutdown waits until no more connections are accepted, which shut has begun, and then for the
// requests under way. Every request that was sent before the listener closed gets a response.
func (d *door) shutdown() error {
	err := <-d.served
	d.linger()
	return errors.Join(err, d.end())
}

// linger waits for requests that are under way on idle connections, which fasthttp would close
// unread.
func (d *door) linger() {
	for end := time.Now().Add(lingerTime); time.Now().Before(end); time.Sleep(lingerTime / 20) {
		if d.http.GetOpenConnectionsCount() < 0 { // it counts the closed listener as one of them
			return
		}
	}
}

// end has fasthttp close idle connections and wait for the others. fasthttp goes by the wall clock:
// a connection that fell idle while that was ahead never counts as idle, nor does one at once that
// is new. And a client may send a request as slowly as it likes. So after arrivalTime all requests
// that have not arrived are cut off.
func (d *door) end() error {
	late := time.AfterFunc(arrivalTime, d.gate.open.cutOff)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	err := d.http.ShutdownWithContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("some requests to the %s were still under way after %s", d.name, shutdownTimeout)
	}
	return err
}
