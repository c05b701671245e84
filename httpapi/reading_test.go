package httpapi

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// TestReadsArePaidFor: a customer who has read much waits before the next read, for as long as that
// takes at the rate; other customers, other tokens and changes do not. Large reads come one by one.
func TestReadsArePaidFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{reads: newReadPaces()}
		first := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{1}}
		second := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{2}}
		// read makes a request that reads and sends so many bytes, and returns how long it waited.
		read := func(method string, caller *webhook.APIKey, bytes, sent int) (waited time.Duration, err error) {
			r := &request{server: s, http: new(fasthttp.RequestCtx), caller: caller, read: bytes}
			r.http.Request.Header.SetMethod(method)
			begin := time.Now()
			end, err := r.awaitTurn()
			if err == nil {
				waited = time.Since(begin)
				r.http.Response.SetBodyRaw(make([]byte, sent))
				end()
			}
			return waited, err
		}
		rate := int(s.reads.rate)
		if waited, err := read("GET", first, readPerByte*readBurst/2, readBurst/2); waited != 0 || err != nil {
			t.Errorf("a burst waits for %s: %v", waited, err)
		}
		time.Sleep(time.Minute)
		if waited, err := read("GET", first, 2*readPerByte*rate, readBurst); waited != 0 || err != nil {
			t.Errorf("a read after a minute waits for %s: %v", waited, err)
		}
		for _, free := range []struct {
			key    *webhook.APIKey
			method string
		}{{second, "GET"}, {first, "POST"}, {root, "GET"}} {
			if waited, err := read(free.method, free.key, 0, 100); waited != 0 || err != nil {
				t.Errorf("another one waits for %s: %v", waited, err)
			}
		}
		want := 2*time.Second + time.Duration(readBurst*int(time.Second)/rate) // until the next one can be paid, too
		if waited, err := read("GET", first, 0, 0); err != nil || (waited-want).Abs() > time.Millisecond {
			t.Errorf("what takes two seconds is followed by a wait of %s, want %s: %v", waited, want, err)
		}
		if waited, err := read("GET", first, 0, 0); waited != 0 || err != nil {
			t.Errorf("a small read after one that cost less than was paid waits for %s: %v", waited, err)
		}
		for range 4 {
			if _, err := read("GET", first, 0, rate); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		var all sync.WaitGroup
		for range 4 { // concurrently
			all.Go(func() {
				if _, err := read("GET", first, 0, rate); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took < 3*time.Second || took > 6*time.Second {
			t.Errorf("what takes four seconds took %s", took)
		}
		for range 3 {
			s.reads.pay(first.App, 60*s.reads.rate, 0, time.Now()) // which counts as four seconds
		}
		var refused *webhook.Error
		begin = time.Now()
		if _, err := read("GET", first, 0, 0); !errors.As(err, &refused) || refused.Code != codeTooMany || time.Since(begin) != leaderTimeout {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		time.Sleep(time.Hour)
		if waited, err := read("GET", first, 0, 0); waited != 0 || err != nil {
			t.Errorf("an hour later there is a wait of %s: %v", waited, err)
		}
		begin = time.Now()
		third := &webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{3}}
		for range ownReads { // the first ones of a page, which are small
			all.Go(func() {
				r := &request{server: s, http: new(fasthttp.RequestCtx), caller: third}
				end, err := r.awaitTurn()
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(time.Millisecond)
				end()
			})
		}
		all.Wait()
		if took := time.Since(begin); took > ownReads*time.Millisecond {
			t.Errorf("%d small reads took %s", ownReads, took)
		}
		if len(s.changes.by) > 0 {
			t.Errorf("%d names are still known", len(s.changes.by))
		}
	})
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
