// Package s3test serves object storage to tests: the server of "rclone serve s3", which checks
// signatures, in memory.
package s3test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// The bucket that there is, and what opens it.
const (
	Bucket = "acme-backups"
	ID     = "test-access-key"
	Secret = "test-secret-access-key"
)

// Server is a server with one bucket.
type Server struct {
	URL     string
	backend *s3mem.Backend
	real    http.Handler
	http    *httptest.Server

	mu        sync.Mutex
	intercept func(http.ResponseWriter, *http.Request) bool
}

// Start starts a server, which ends with the test.
func Start(t testing.TB) *Server { return start(t, (*httptest.Server).Start) }

// StartTLS starts a server with a certificate that nobody trusts yet.
func StartTLS(t testing.TB) *Server { return start(t, (*httptest.Server).StartTLS) }

func start(t testing.TB, begin func(*httptest.Server)) *Server {
	t.Helper()
	s := &Server{backend: s3mem.New()}
	if err := s.backend.CreateBucket(t.Context(), Bucket); err != nil {
		t.Fatal(err)
	}
	s.real = gofakes3.New(s.backend, gofakes3.WithV4Auth(map[string]string{ID: Secret}), gofakes3.WithHostBucket(false)).Server()
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.intercepts(w, r) {
			s.real.ServeHTTP(w, r)
		}
	}))
	begin(s.http)
	s.URL = s.http.URL
	t.Cleanup(s.http.Close)
	return s
}

func (s *Server) intercepts(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	intercept := s.intercept
	s.mu.Unlock()
	return intercept != nil && intercept(w, r)
}

// Intercept calls f for each request; if it returns true, it has responded.
func (s *Server) Intercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Serve passes a request on, for a function that intercepts.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request) { s.real.ServeHTTP(w, r) }

// Size returns the size of an object, as a header has it.
func (s *Server) Size(t testing.TB, path string) string {
	object, err := s.backend.HeadObject(t.Context(), Bucket, strings.TrimPrefix(path, "/"+Bucket+"/"))
	if err != nil {
		t.Error(err)
		return "0"
	}
	return strconv.FormatInt(object.Size, 10)
}

// Certificate returns the certificate of a server with TLS.
func (s *Server) Certificate() []byte { return s.http.Certificate().Raw }
