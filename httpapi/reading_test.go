package httpapi

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// TestReadsArePaidFor: what a customer reads, and the work that it takes, is paid for as it goes
// on; other customers, other tokens and changes do not wait for that.
func TestReadsArePaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closing := make(chan struct{})
		s := &Server{reads: newReadPaces(2, closing)}
		first := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{1}}
		second := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{2}}
		// read makes a request that reads records of so many bytes, works for some time after each
		// of them, and sends a response, and returns how long all of that took.
		read := func(method string, caller *webhook.APIKey, records []int, work time.Duration, sent int) (took time.Duration) {
			r := &request{server: s, http: new(fasthttp.RequestCtx), caller: caller}
			r.http.Request.Header.SetMethod(method)
			begin := time.Now()
			end, err := r.awaitTurn(mayReadOwn)
			if err != nil {
				t.Error(err)
				return 0
			}
			for _, bytes := range records {
				time.Sleep(work)
				r.paced.step(bytes)
			}
			r.http.Response.SetBodyRaw(make([]byte, sent))
			end()
			return time.Since(begin)
		}
		expect := func(what string, took, want time.Duration) {
			t.Helper()
			if (took - want).Abs() > want/100 {
				t.Errorf("%s: took %s, want %s", what, took, want)
			}
		}
		seconds := func(bytes int) time.Duration { return time.Duration(bytes) * time.Second / (2 * readRate) }
		expect("a burst", read("GET", first, []int{readPerByte * readBurst / 2}, 0, readBurst/2), 0)
		expect("what follows", read("GET", first, []int{readPerByte * 1000, readPerByte * readRate}, 0, readRate-1000), time.Second)
		for _, free := range []struct {
			key    *webhook.APIKey
			method string
		}{{second, "GET"}, {first, "POST"}, {root, "GET"}} {
			expect("another one", read(free.method, free.key, nil, 0, 100), 0)
		}
		time.Sleep(time.Hour)
		expect("an hour later", read("GET", first, nil, 0, readBurst+readRate), seconds(readRate))

		// An eighth of two processors is a quarter of one.
		expect("work for a second", read("GET", first, make([]int, 1000), time.Millisecond, 0), 4*time.Second)
		expect("in tiny steps", read("GET", first, make([]int, 100_000), 10*time.Microsecond, 0), 4*time.Second)
		begin := time.Now()
		var all sync.WaitGroup
		for range 2 * ownReads {
			all.Go(func() { read("GET", first, make([]int, 100), time.Millisecond, 0) })
		}
		all.Wait()
		expect("together", time.Since(begin), 2*ownReads*400*time.Millisecond)
		expect("what waits for something between two records", read("GET", first, []int{0}, time.Second, 0), time.Second)
		time.Sleep(time.Hour)
		expect("what takes a minute to read", read("GET", first, []int{readPerByte * readBurst, 60 * 2 * readRate * readPerByte}, 0, 0), readDebt*time.Second)

		paced := s.reads.begin(first.App)
		begin = time.Now()
		end := paced.rest()
		time.Sleep(time.Second)
		end()
		paced.end(readBurst)
		expect("rest", time.Since(begin), time.Second)

		// What keeps the state of the store does not wait for long, but pays in the end.
		begin = time.Now()
		for range 10 {
			paced.step(readPerByte * 2 * readRate)
		}
		expect("one look at the store", time.Since(begin), longHold)
		paced.end(0)
		expect("with its end", time.Since(begin), 10*time.Second)
		begin = time.Now()
		close(closing)
		paced.end(2 * readRate)
		expect("a read while the server stops", time.Since(begin), 0)
		if len(s.changes.by) > 0 {
			t.Errorf("%d names are still known", len(s.changes.by))
		}
	})
}

// TestPastIsPaced: streams with tokens of an application pay for the past that they read.
func TestPastIsPaced(t *testing.T) {
	s := &Server{reads: newReadPaces(1, nil), config: Config{Store: new(wal.Store)}}
	for _, who := range []owner{{application: true, id: webhook.ID{1}}, {id: webhook.ID{2}}} {
		stream := &tailStream{server: s, client: who}
		if isPaced := stream.past() != &s.config.Store.Reader; isPaced != who.application {
			t.Errorf("%+v: paced: %t", who, isPaced)
		}
	}
}

// TestEncodePage: a page is encoded as encoding/json would, but items stay as they are.
func TestEncodePage(t *testing.T) {
	for name, page := range map[string]listResponse{
		"empty": {Data: []json.RawMessage{}, Done: true},
		"one":   {Data: []json.RawMessage{json.RawMessage(`{"a":1}`)}, Iterator: new("a\"b")},
		"more":  {Data: []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"x"`)}, Iterator: new("a"), PrevIterator: new("-b"), Done: true},
	} {
		want, err := json.Marshal(page)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := page.encode(); err != nil || string(got) != string(want) {
			t.Errorf("%s: %s, want %s: %v", name, got, want, err)
		}
		got, err := page.encode([]byte(`,"more":true`)...)
		if all := strings.TrimSuffix(string(want), "}") + `,"more":true}`; err != nil || string(got) != all {
			t.Errorf("%s: %s, want %s: %v", name, got, all, err)
		}
	}
	page := listResponse{Data: []json.RawMessage{json.RawMessage(`{"a": "<&>"}`)}}
	if got, err := page.encode(); err != nil || !strings.Contains(string(got), `{"a": "<&>"}`) {
		t.Errorf("the item is changed: %s: %v", got, err)
	}
}
