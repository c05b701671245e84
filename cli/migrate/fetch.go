package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits on what a source may send.
const (
	maxResponse    = 32 << 20 // bytes of a page
	maxError       = 64 << 10 // bytes of an error
	maxPages       = 100_000  // of a list
	pageSize       = 100      // objects
	requestTimeout = time.Minute
	maxRetries     = 7
	maxRetryAfter  = 10 * time.Minute
	maxBackoff     = 30 * time.Second
)

// service calls the API of a source.
type service struct {
	base    string // URL without a slash at its end
	token   string
	say     func(text string) // progress
	http    http.Client
	backoff time.Duration // before the first retry
	pages   int           // limit of a list

	mu      sync.Mutex
	paused  time.Time // no request before this time
	reached bool      // it has responded
}

// newService returns a service at a URL; prefix is the path of its API, which the URL may have.
func newService(base, prefix, token string, say func(string)) (*service, error) {
	if !strings.Contains(base, "://") {
		base = "https://" + base
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("--url: expected the URL of the service to copy from, such as https://example.com, without user, query or fragment")
	}
	base = strings.TrimRight(base, "/")
	if prefix != "" && !strings.HasSuffix(base, prefix) {
		base = strings.TrimSuffix(base, "/api") + prefix
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = requestTimeout
	return &service{base: base, token: token, say: say, backoff: 500 * time.Millisecond, pages: maxPages,
		http: http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// statusError is a response that is not a success.
type statusError struct {
	url    string
	status int
	detail string
	after  time.Duration // Retry-After; 0: none
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("%s: the source responded with %d %s", e.url, e.status, http.StatusText(e.status))
	if e.detail != "" {
		text += ": " + e.detail
	}
	return text
}

func isStatus(err error, status int) bool {
	var e *statusError
	return errors.As(err, &e) && e.status == status
}

// get decodes the response to a request. It retries what may succeed later: too many requests,
// which it waits out as the source asks, errors of the server, and broken connections.
func (s *service) get(ctx context.Context, path string, query url.Values, out any) error {
	for attempt := 0; ; attempt++ {
		if err := s.waitPause(ctx); err != nil {
			return err
		}
		text, err := s.once(ctx, path, query)
		if err == nil {
			if err := json.Unmarshal(text, out); err != nil {
				return fmt.Errorf("%s: the response of the source can't be understood: %w", s.base+path, plainJSONError(err))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var status *statusError
		if errors.As(err, &status) && status.status != http.StatusTooManyRequests && status.status < 500 || errors.Is(err, errTooLarge) || attempt == maxRetries || !s.wasReached() {
			return err
		}
		delay := min(s.backoff<<attempt, maxBackoff)
		delay += rand.N(delay/4 + 1)
		if status != nil && status.after > maxRetryAfter {
			return fmt.Errorf("%w: it asks to wait for %s: run the import again then", err, status.after)
		}
		if status != nil && status.after > 0 {
			delay = status.after
		}
		if delay >= time.Second {
			s.say(fmt.Sprintf("%v: waiting %s", err, delay.Round(time.Second)))
		}
		s.pause(delay)
	}
}

// wasReached reports whether there has been a response: an address that has never responded is
// probably the wrong one.
func (s *service) wasReached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached
}

// pause holds back all requests.
func (s *service) pause(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := time.Now().Add(delay); until.After(s.paused) {
		s.paused = until
	}
}

func (s *service) waitPause(ctx context.Context) error {
	s.mu.Lock()
	delay := time.Until(s.paused)
	s.mu.Unlock()
	return sleep(ctx, delay)
}

func sleep(ctx context.Context, delay time.Duration) error {
	if delay <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errTooLarge = fmt.Errorf("larger than the %d MiB that a page may have", maxResponse>>20)

// once sends one request and returns the body of a successful response.
func (s *service) once(ctx context.Context, path string, query url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	target := s.base + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.URL.RawQuery = query.Encode()
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "hookwheel-import")
	response, err := s.http.Do(request)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err // without the URL, which follows
		}
		return nil, fmt.Errorf("%s: no response from the source: %w", target, err)
	}
	defer response.Body.Close()
	s.mu.Lock()
	s.reached = true
	s.mu.Unlock()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, maxError)) // as much as there is
		return nil, s.failure(target, response, text)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: the response of the source ended early: %w", target, err)
	case len(text) > maxResponse:
		return nil, fmt.Errorf("%s: the response of the source is %w", target, errTooLarge)
	}
	return text, nil
}

// failure returns the error for an unsuccessful response.
func (s *service) failure(target string, response *http.Response, text []byte) error {
	e := &statusError{url: target, status: response.StatusCode, detail: errorDetail(text), after: retryAfter(response.Header.Get("Retry-After"))}
	if location := response.Header.Get("Location"); location != "" {
		e.detail = "a redirect to " + location + ", which is not followed: give the URL that it leads to"
	}
	if s.token != "" {
		e.detail = strings.ReplaceAll(e.detail, s.token, "…") // some servers repeat it
	}
	e.detail = short(e.detail)
	return e
}

// errorDetail returns the message of an error in the formats of the services, and nothing of what
// else a response may have: it can be one with a secret.
func errorDetail(text []byte) string {
	var known struct{ Detail, Message, Error json.RawMessage }
	if json.Unmarshal(text, &known) != nil {
		if plain := bytes.TrimSpace(text); len(plain) > 0 && !bytes.ContainsAny(plain[:1], "{[\"") {
			return secretText.ReplaceAllString(string(plain), "…")
		}
		return ""
	}
	for _, field := range []json.RawMessage{known.Detail, known.Message, known.Error} {
		var plain string
		if json.Unmarshal(field, &plain) == nil {
			return secretText.ReplaceAllString(plain, "…")
		}
		var list []struct {
			Loc []string
			Msg string
		}
		if json.Unmarshal(field, &list) == nil && len(list) > 0 {
			return secretText.ReplaceAllString(strings.Join(list[0].Loc, ".")+": "+list[0].Msg, "…")
		}
	}
	return ""
}

// secretText is a signing key.
var secretText = regexp.MustCompile(`wh(sec|sk|pk)1?_\S*`)

// retryAfter parses a Retry-After header, in seconds or as a date.
func retryAfter(text string) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1e6) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// plainJSONError says in JSON's words what a Go error says in Go's, without the value.
func plainJSONError(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		what, _, _ := strings.Cut(kind.Value, " ") // a number is repeated
		if kind.Field == "" {
			return fmt.Errorf("it is unexpectedly of the type %s", what)
		}
		return fmt.Errorf("its field %q is unexpectedly of the type %s", strings.ToLower(kind.Field[:1])+kind.Field[1:], what)
	}
	return err
}
