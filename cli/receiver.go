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
	maxSeen     = 100_000  // ids of which it is known how often they came; then all are forgotten
	dripPause   = time.Second
	shownBody   = 80 // characters of a body in a line
)

// fault is how a receiver misbehaves.
type fault struct {
	status            int // of the answer; 2xx is no fault
	hang, drip, reset bool
	rate              float64       // share of requests that are treated so
	delay             time.Duration // before each answer
}

func (f *fault) validate() error {
	if f.status < 200 || f.status > 599 {
		return errors.New("--status must be 200 to 599")
	}
	if !(f.rate >= 0 && f.rate <= 1) {
		return errors.New("--fail-rate must be 0 to 1")
	}
	if f.delay < 0 {
		return errors.New("--delay must not be negative")
	}
	return nil
}

// any tells whether it says how to fail.
func (f *fault) any() bool { return f.hang || f.drip || f.reset || f.status >= 300 }

// choose says how the next request is answered: a status, or what is done instead of one.
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

// inbox takes webhooks, verifies and prints them.
type inbox struct {
	verifier verifier
	fault    fault
	most     int // requests; 0: no limit
	json     bool
	full     func() // is called when most of them came

	mu    sync.Mutex
	out   io.Writer
	seen  map[string]int
	came  int
	done  int   // answered
	wrong int   // did not verify
	fails error // to print
}

// arrival is a request as it is printed.
type arrival struct {
	Time       time.Time           `json:"time"`
	Method     string              `json:"method"`
	Path       string              `json:"path"`
	ID         string              `json:"id,omitempty"`
	Times      int                 `json:"times,omitempty"` // how often this id has come
	Answer     string              `json:"answer"`          // a status, hang, drip or reset
	Verified   *bool               `json:"verified,omitempty"`
	Error      string              `json:"error,omitempty"` // why it did not verify
	Headers    map[string][]string `json:"headers"`
	Body       string              `json:"body"`
	BodyBase64 []byte              `json:"bodyBase64,omitempty"` // instead of body if that is no text
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxReceived))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	status, instead := b.fault.choose()
	a := arrival{Time: time.Now(), Method: request.Method, Path: request.URL.RequestURI(), Headers: request.Header, ID: standardHeader(request.Header, "Id")}
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
	if a.Answer = instead; instead == "" {
		a.Answer = strconv.Itoa(status)
	}
	if !b.print(&a) {
		panic(http.ErrAbortHandler) // ends the connection
	}
	defer b.answered()
	b.answer(w, request, status, instead)
}

func (b *inbox) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done++; b.done == b.most {
		b.full()
	}
}

// print writes one line, in the order of arrival. It is false for requests that came after the last one.
func (b *inbox) print(a *arrival) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most > 0 && b.came == b.most {
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

// line is for people: nothing in it can steer their terminal.
func (a *arrival) line() string {
	signature := "not verified"
	if a.Verified != nil {
		if signature = "verified"; !*a.Verified {
			signature = "WRONG: " + a.Error
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
	return printable(fmt.Sprintf("%s  %-5s  %s %s  %s  %s  %s", a.Time.Format("15:04:05.000"), a.Answer, a.Method, a.Path, id, signature, shorten(body)))
}

func shorten(body string) string {
	short := []rune(body)
	if len(short) <= shownBody {
		return body
	}
	return fmt.Sprintf("%s… (%d bytes)", string(short[:shownBody]), len(body))
}

// answer answers, or does what is to be done instead, until the sender goes away or this process ends.
func (b *inbox) answer(w http.ResponseWriter, request *http.Request, status int, instead string) {
	if !pause(request, b.fault.delay) {
		panic(http.ErrAbortHandler) // else the server would answer 200
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

// pause is false if the sender went away meanwhile, or this process ends.
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
		panic(http.ErrAbortHandler) // the server then closes it
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // else the close below is an orderly one, which is the next best
	}
	conn.Close()
}

// err says what was wrong with what came.
func (b *inbox) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wrong > 0 {
		return errors.Join(b.fails, fmt.Errorf("%d of %d requests did not verify", b.wrong, b.came))
	}
	return b.fails
}
