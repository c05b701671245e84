package httpapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
)

// A page ends by bytes as well as by items, whatever its items bring along, and iterators lead over
// all of them.
func TestAPIPagesEndByBytes(t *testing.T) {
	const count, size = 12, 900_000
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	var ids []string
	for i := range count {
		var m apiThing
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","payload":{"n":%d,"x":"%s"}}`, i, strings.Repeat("x", size)), 202, &m)
		ids = append(ids, m.ID)
	}
	slices.Reverse(ids) // newest first
	a.awaitAttempts("/app/acme/attempt/endpoint/e?with_content=false", count)
	for _, path := range []string{"/app/acme/msg?limit=250", "/app/acme/attempt/endpoint/e?limit=250&with_msg=true", "/app/acme/endpoint/e/msg?limit=250"} {
		var forward, backward []string
		pages := 0
		for next := ""; ; pages++ {
			list, length := a.page(path + next)
			if length > 5<<20 {
				t.Errorf("%s: a page of %d bytes", path, length)
			}
			for _, item := range list.Data {
				forward = append(forward, messageOf(item))
			}
			if list.Done {
				break
			}
			next = "&iterator=" + *list.Iterator
		}
		slices.Sort(forward)
		if want := slices.Sorted(slices.Values(ids)); !slices.Equal(forward, want) || pages < 2 {
			t.Errorf("%s: %d pages have %d of %d", path, pages+1, len(forward), count)
		}
		list, _ := a.page(path + "&after=2020-01-01T00:00:00Z")
		for {
			part := make([]string, len(list.Data))
			for i, item := range list.Data {
				part[i] = messageOf(item)
			}
			backward = append(part, backward...)
			if list.Done {
				break
			}
			list, _ = a.page(path + "&iterator=" + *list.PrevIterator)
		}
		slices.Sort(backward)
		if want := slices.Sorted(slices.Values(ids)); !slices.Equal(backward, want) {
			t.Errorf("%s, from the oldest on: %d of %d", path, len(backward), count)
		}
	}
	if list, _ := a.page("/app/acme/msg?limit=250&with_content=false"); len(list.Data) != count || !list.Done {
		t.Errorf("without payloads a page has %d of %d", len(list.Data), count)
	}
}

func messageOf(item apiThing) string {
	if item.MsgID != "" {
		return item.MsgID
	}
	return item.ID
}

func (a *api) page(path string) (list apiList, length int) {
	a.t.Helper()
	response, text := a.raw("GET", "/api/v1"+path, "Bearer "+apiToken, nil)
	if err := json.Unmarshal(text, &list); err != nil || response.StatusCode != 200 {
		a.t.Fatalf("%s: %s %v %.200s", path, response.Status, err, text)
	}
	return list, len(text)
}

// Clients that ask for large pages and do not read them hold no more than their share, and others
// are served.
func TestAPISlowReaders(t *testing.T) {
	const readers = 120
	const limit = 256 << 20 // above their share and what tests keep; all pages at once are over 600 MiB
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for range 6 {
		a.call("POST", "/app/acme/msg", `{"eventType":"a","payload":{"x":"`+strings.Repeat("x", 900_000)+`"}}`, 202, nil)
	}
	var portal authKey
	a.call("POST", "/auth/app-portal-access/acme", `{"readOnly":true}`, 200, &portal)
	before := heap()
	for range readers {
		conn := a.dialRaw()
		if _, err := io.WriteString(conn, strings.Repeat("GET /api/v1/app/acme/msg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+portal.Token+"\r\n\r\n", 5)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		readAll(t, a.url+"/api/v1/app/acme/msg")
		if grown := heap() - before; grown > limit {
			t.Errorf("%d clients that read nothing hold %d MiB", readers, grown>>20)
		}
	}
}

// readAll reads a response without keeping or validating it, which would take memory in this
// process, too.
func readAll(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK || n < 1<<20 {
		t.Fatalf("%s: %s, %d bytes, %v", url, response.Status, n, err)
	}
}
