package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hookwheel/delivery/receivertest"
)

// TestAPIThousandRows goes through lists of a thousand rows to the end and back while rows are
// being added: nothing is skipped, nothing comes twice.
func TestAPIThousandRows(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusOK)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	const count = 1000
	send := func(name string) {
		a.call("POST", "/app/acme/msg?with_content=false", `{"eventType":"a","eventId":"`+name+`","tags":["odd-`+name[len(name)-1:]+`"],"payload":{}}`, 202, nil)
	}
	for i := range count {
		send(fmt.Sprint("m", i))
	}
	receiver.Await(t, count)
	a.awaitAttempts("/app/acme/attempt/endpoint/e?limit=1&after=2020-01-01T00:00:00Z", 1)
	for len(a.ids(t, "/app/acme/attempt/endpoint/e?limit=250", true, nil)) < count { // the last attempts are recorded in a moment
	}
	late := 0
	for _, path := range []string{"/app/acme/msg?limit=97", "/app/acme/msg?limit=7&tag=odd-3", "/app/acme/attempt/endpoint/e?limit=97", "/app/acme/endpoint/e/msg?limit=97"} {
		adding := func() { late++; send(fmt.Sprint("late", late)) }
		down := a.ids(t, path, true, adding)
		want := count
		if strings.Contains(path, "tag") {
			want = count / 10
		}
		if len(down) < want || len(down) > want+late {
			t.Errorf("%s: %d rows downwards", path, len(down))
		}
		up := a.ids(t, path+"&after=2020-01-01T00:00:00Z", false, adding)
		seen := make(map[string]bool)
		for _, id := range up {
			if seen[id] {
				t.Errorf("%s: %s comes twice upwards", path, id)
			}
			seen[id] = true
		}
		for _, id := range down {
			if !seen[id] {
				t.Errorf("%s: %s is skipped upwards", path, id)
			}
		}
	}
}

// ids walks all pages of a list, to older rows or to newer ones.
func (a *api) ids(t *testing.T, path string, down bool, between func()) (ids []string) {
	t.Helper()
	seen := make(map[string]bool)
	at := path
	for {
		page := a.list(at)
		for _, item := range page.Data {
			if seen[item.ID] {
				t.Fatalf("%s: %s comes twice", at, item.ID)
			}
			seen[item.ID] = true
			ids = append(ids, item.ID)
		}
		next := page.Iterator
		if !down {
			next = page.PrevIterator
		}
		if page.Done || next == nil {
			return ids
		}
		at = path + "&iterator=" + *next
		if between != nil && len(seen)%3 == 0 {
			between()
		}
	}
}
