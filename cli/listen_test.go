package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// listening is "hookwheel listen", under way.
type listening struct {
	url  string
	out  *bytes.Buffer // to be read when it has ended
	done chan error
	stop context.CancelFunc
}

func startListening(t *testing.T, args ...string) *listening {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &listening{out: new(bytes.Buffer), done: make(chan error, 1), stop: cancel}
	cmd := newListenCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	reader, writer := io.Pipe()
	cmd.SetOut(l.out)
	cmd.SetErr(writer)
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
	go func() {
		err := cmd.ExecuteContext(ctx)
		writer.CloseWithError(io.EOF)
		l.done <- err
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", args, errors.Join(err, <-l.done))
	}
	l.url = strings.TrimSuffix(strings.Fields(line)[2], ";")
	t.Cleanup(cancel)
	return l
}

// end stops it and gives back what it printed and how it ended.
func (l *listening) end() (string, error) {
	l.stop()
	err := <-l.done
	return l.out.String(), err
}

// post sends a signed request.
func (l *listening) post(timeout time.Duration, body, signature string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, l.url+"hook?a=b", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now().Unix()
	if signature == "" {
		signature = string(verifySecret.AppendSignature(nil, "msg_1", now, []byte(body)))
	}
	request.Header = http.Header{"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {strconv.FormatInt(now, 10)}, "Webhook-Signature": {signature}}
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err == nil {
		defer response.Body.Close()
		_, err = io.Copy(io.Discard, response.Body)
	}
	return response, err
}

func TestListenPrints(t *testing.T) {
	l := startListening(t, "--secret", verifySecret.Text())
	for _, signature := range []string{"", "", "v1,wrong"} {
		response, err := l.post(time.Minute, `{"a": "\u001b[2J`+"\x1b[2J\n\"}", signature)
		if want := map[bool]int{true: 204, false: 401}[signature == ""]; err != nil || response.StatusCode != want {
			t.Errorf("%v %v, want %d", response, err, want)
		}
	}
	out, err := l.end()
	if err == nil || err.Error() != "1 of 3 requests had no valid signature" {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for i, want := range []string{"msg_1  verified  {", "msg_1 (×2)  verified", "401    POST /hook?a=b  msg_1 (×3)  INVALID: no signature matches"} {
		if len(lines) != 3 || !strings.Contains(lines[i], want) {
			t.Fatalf("%q, want %q in line %d", out, want, i)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("the body steers the terminal: %q", out)
	}
}

func TestListenJSON(t *testing.T) {
	l := startListening(t, "--json", "--count", "2", "--status", "202", "--delay", "1ms")
	for _, body := range []string{`{"a": 1}`, "\xff"} {
		if response, err := l.post(time.Minute, body, ""); err != nil || response.StatusCode != 202 {
			t.Errorf("%v %v", response, err)
		}
	}
	if err := <-l.done; err != nil { // by itself
		t.Fatal(err)
	}
	decoder := json.NewDecoder(l.out)
	var first, second arrival
	if err := errors.Join(decoder.Decode(&first), decoder.Decode(&second)); err != nil {
		t.Fatal(err)
	}
	if first.Body != `{"a": 1}` || first.Response != "202" || first.ID != "msg_1" || first.Path != "/hook?a=b" || first.Verified != nil || first.Headers["Webhook-Id"][0] != "msg_1" {
		t.Errorf("%+v", first)
	}
	if string(second.BodyBase64) != "\xff" || second.Times != 2 {
		t.Errorf("%+v", second)
	}
}

func TestListenMisbehaves(t *testing.T) {
	const short = 100 * time.Millisecond
	timedOut := func(_ *http.Response, err error) bool {
		var late interface{ Timeout() bool }
		return errors.As(err, &late) && late.Timeout()
	}
	for name, test := range map[string]struct {
		args    []string
		timeout time.Duration
		good    func(*http.Response, error) bool
	}{
		"status": {[]string{"--status", "503"}, time.Minute, func(a *http.Response, err error) bool { return err == nil && a.StatusCode == 503 }},
		"hang":   {[]string{"--hang"}, short, timedOut},
		"drip":   {[]string{"--drip"}, short, timedOut},
		"delay":  {[]string{"--delay", "1h"}, short, timedOut},
		"reset": {[]string{"--reset"}, time.Minute, func(_ *http.Response, err error) bool {
			return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF)
		}},
		"rate 1": {[]string{"--fail-rate", "1"}, time.Minute, func(a *http.Response, err error) bool { return err == nil && a.StatusCode == 500 }},
		"rate 0": {[]string{"--fail-rate", "0", "--hang"}, time.Minute, func(a *http.Response, err error) bool { return err == nil && a.StatusCode == 204 }},
	} {
		t.Run(name, func(t *testing.T) {
			l := startListening(t, test.args...)
			if response, err := l.post(test.timeout, "{}", ""); !test.good(response, err) {
				t.Errorf("%v %v", response, err)
			}
			if _, err := l.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestListenFailRate(t *testing.T) {
	l := startListening(t, "--fail-rate", "0.5", "--status", "503")
	var mu sync.Mutex
	statuses := make(map[int]int)
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 25 {
				response, err := l.post(time.Minute, "{}", "")
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				statuses[response.StatusCode]++
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	if statuses[503] < 20 || statuses[204] < 20 || statuses[503]+statuses[204] != 100 { // less than one run in 10^9 by chance
		t.Errorf("%v", statuses)
	}
	if _, err := l.end(); err != nil {
		t.Error(err)
	}
}

func TestListenRefusesOptions(t *testing.T) {
	for want, args := range map[string][]string{
		"--status must be from 200 to 599": {"--status", "99"},
		"--fail-rate must be from 0 to 1":  {"--fail-rate", "1.5"},
		"--delay must not":                 {"--delay", "-1s"},
		"none of the others can be":        {"--hang", "--drip"},
		"--count must not be negative":     {"--count", "-1"},
		"--style must be":                  {"--style", "x"},
		"--listen: ":                       {"--listen", "nowhere"},
	} {
		cmd := newListenCommand()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(args)
		if err := cmd.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
