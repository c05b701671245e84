package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	maxReceived = 64 << 20 // bytes of a body
	maxSeen     = 100_000  // ids that are counted; then counting starts over
	dripPause   = time.Second
	shownBody   = 80 // characters of a body in a line
)

// fault is how a receiver fails on purpose.
type fault struct {
	status            int // of the response; 2xx is success
	hang, drip, reset bool
	rate              float64       // share of requests that fail
	delay             time.Duration // before each response
}

func (f *fault) validate() error {
	if f.status < 200 || f.status > 599 {
		return errors.New("--status must be from 200 to 599")
	}
	if !(f.rate >= 0 && f.rate <= 1) {
		return errors.New("--fail-rate must be from 0 to 1")
	}
	if f.delay < 0 {
		return errors.New("--delay must not be negative")
	}
	return nil
}

// isSet reports whether a way to fail was chosen.
func (f *fault) isSet() bool { return f.hang || f.drip || f.reset || f.status >= 300 }

// choose returns how to respond to the next request: a status, or what to do instead.
func (f *fault) choose() (status int, instead string) {
	good := rand.Float64() >= f.rate
	switch {
	case good && f.status < 300:
		return f.status, ""
	case good:
		return http.StatusNoContent, ""
	case f.hang:
		return 0, "hang"
	case f.drip:
		return http.StatusOK, "drip"
	case f.reset:
		return 0, "reset"
	case f.status >= 300:
		return f.status, ""
	default:
		return http.StatusInternalServerError, ""
	}
}

// inbox receives webhooks, verifies and prints them.
type inbox struct {
	verifier verifier
	fault    fault
	limit    int // of requests; 0: none
	json     bool
	stop     func() // called after the last of them

	mu    sync.Mutex
	out   io.Writer
	seen  map[string]int
	came  int
	done  int   // were responded to
	wrong int   // have no valid signature
	fails error // while printing
}

// arrival is a request as printed.
type arrival struct {
	Time       time.Time           `json:"time"`
	Method     string              `json:"method"`
	Path       string              `json:"path"`
	ID         string              `json:"id,omitempty"`
	Times      int                 `json:"times,omitempty"` // how often this id has arrived
	Response   string              `json:"response"`        // a status, hang, drip or reset
	Verified   *bool               `json:"verified,omitempty"`
	Error      string              `json:"error,omitempty"` // why the signature is not valid
	Headers    map[string][]string `json:"headers"`
	Body       string              `json:"body"`
	BodyBase64 []byte              `json:"bodyBase64,omitempty"` // instead of body if it is not text
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxReceived))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	status, instead := b.fault.choose()
	a := arrival{Time: time.Now(), Method: request.Method, Path: request.URL.RequestURI(),
		Headers: request.Header, ID: standardHeader(request.Header, "Id")}
	if utf8.Valid(body) {
		a.Body = string(body)
	} else {
		a.BodyBase64 = body
	}
	if len(b.verifier.keys) > 0 {
		err := b.verifier.verify(request.Header, body, a.Time)
		verified := err == nil
		if a.Verified = &verified; err != nil {
			a.Error = err.Error()
			status, instead = http.StatusUnauthorized, ""
		}
	}
	if a.Response = instead; instead == "" {
		a.Response = strconv.Itoa(status)
	}
	if !b.print(&a) {
		panic(http.ErrAbortHandler) // closes the connection
	}
	defer b.responded()
	b.respond(w, request, status, instead)
}

func (b *inbox) responded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done++; b.done == b.limit {
		b.stop()
	}
}

// print writes one line, in order of arrival. It returns false for requests beyond the limit.
func (b *inbox) print(a *arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 && b.came == b.limit {
		return false
	}
	b.came++
	if a.ID != "" {
		if len(b.seen) >= maxSeen {
			clear(b.seen)
		}
		b.seen[a.ID]++
		a.Times = b.seen[a.ID]
	}
	if a.Verified != nil && !*a.Verified {
		b.wrong++
	}
	line := a.line()
	if b.json {
		text, err := json.Marshal(a)
		if err != nil {
			b.fails = err
			return true
		}
		line = string(printableJSON(text))
	}
	if _, err := fmt.Fprintln(b.out, line); err != nil {
		b.fails = err
	}
	return true
}

// line returns the request as text, in which control characters are escaped.
func (a *arrival) line() string {
	signature := "not verified"
	if a.Verified != nil {
		if signature = "verified"; !*a.Verified {
			signature = "INVALID: " + a.Error
		}
	}
	id := a.ID
	if id == "" {
		id = "no webhook-id"
	}
	if a.Times > 1 {
		id += fmt.Sprintf(" (×%d)", a.Times)
	}
	body := a.Body
	if a.BodyBase64 != nil {
		body = base64.StdEncoding.EncodeToString(a.BodyBase64)
	}
	return printable(fmt.Sprintf("%s  %-5s  %s %s  %s  %s  %s", a.Time.Format("15:04:05.000"),
		a.Response, a.Method, a.Path, id, signature, shorten(body)))
}

func shorten(body string) string {
	short := []rune(body)
	if len(short) <= shownBody {
		return body
	}
	return fmt.Sprintf("%s… (%d bytes)", string(short[:shownBody]), len(body))
}

// respond responds, or does something instead, until the sender disconnects or this process ends.
func (b *inbox) respond(w http.ResponseWriter, request *http.Request, status int, instead string) {
	if !pause(request, b.fault.delay) {
		panic(http.ErrAbortHandler) // otherwise the server would send a 200
	}
	switch instead {
	case "hang":
		<-request.Context().Done()
		panic(http.ErrAbortHandler)
	case "drip":
		w.WriteHeader(status)
		for pause(request, dripPause) {
			if _, err := io.WriteString(w, "."); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	case "reset":
		resetConnection(w)
	default:
		w.WriteHeader(status)
	}
}

// pause waits, and returns false if the sender disconnects or this process ends before.
func pause(request *http.Request, delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-request.Context().Done():
		return false
	}
}

func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // the server closes it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without this, Close ends it in an orderly way
	}
	conn.Close()
}

// err returns what was wrong with the requests.
func (b *inbox) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrong > 0 {
		return errors.Join(b.fails, fmt.Errorf("%d of %d requests had no valid signature", b.wrong, b.came))
	}
	return b.fails
}
