package abuse

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// What a customer does with a token that may only read.
var readerAbuses = []abuse{
	{"lists of large messages", largeLists, []int{200, 202, 429, 503}},
	{"lists that are never read", unreadLists, []int{0, 200, 202, 429, 503}},
	{"explanations of a message to all endpoints", explainAll, []int{200, 429, 503}},
	{"searches that find nothing", vainSearches, []int{200, 429, 503}},
	{"tails without end", manyTails, []int{200, 429}},
	{"tails of the past", pastTails, []int{200, 429}},
	{"changes", readerChanges, []int{201, 202, 403}},
	{"other customers' things", othersThings, []int{403, 404, 201, 202}},
}

const pageLimit = 5 << 20 // a page ends after 4 MiB, with the item that is beyond them

func largeLists(w *world) {
	each(8, long(48, 400), func(int) {
		if r := w.attack(w.hoarder.reader, "GET", w.hoarder.path("/msg?limit=250&with_content=true"), ""); len(r.body) > pageLimit {
			w.t.Errorf("a page of %d bytes", len(r.body))
		}
	})
}

// Clients that ask for pages and take nothing of them.
func unreadLists(w *world) {
	c := w.hoarder
	each(16, long(100, 400), func(i int) {
		conn := w.dial(w.nodes[i%len(w.nodes)].api)
		if conn == nil {
			return
		}
		request := fmt.Sprintf("GET /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", c.path("/msg?limit=250&with_content=true"), c.reader)
		_, _ = io.WriteString(conn, strings.Repeat(request, 3))
	})
	time.Sleep(time.Duration(long(3, 15)) * time.Second) // in which nothing is read
	for i := range w.nodes {
		if r := w.call(i, rootToken, "GET", "/app?limit=250", ""); r.status != http.StatusOK {
			w.t.Errorf("the operator's list: %s", r)
		}
	}
}

func explainAll(w *world) {
	each(8, long(30, 300), func(i int) {
		paths := []string{"/msg/%s/explain?limit=250", "/msg/%s/endpoint?limit=250", "/attempt/msg/%s?limit=250"}
		w.attack(w.crowd.reader, "GET", w.crowd.path(paths[i%len(paths)], w.crowded), "")
	})
}

// Each page of a search looks at many payloads.
func vainSearches(w *world) {
	c := w.hoarder
	each(12, long(60, 600), func(i int) {
		paths := []string{"/msg?limit=250&search=absent", "/attempt?limit=250&search=absent", "/attempt/endpoint/e0?limit=250&search=absent"}
		w.attack(c.reader, "GET", c.path("%s", paths[i%len(paths)]), "")
	})
}

// Streams that begin with what was long ago, of which they want nothing: all of it is read for each
// of them.
func pastTails(w *world) {
	c := w.crowd
	for node := range w.nodes {
		for range tailsOfCustomer {
			w.count(w.openTail(node, c.reader, "?from=2020-01-01T00:00:00Z&event_types=absent&pulse=true&rate=0"))
		}
	}
	time.Sleep(3 * time.Second)
}

// tailsOfCustomer is how many streams of a node one application may have: a 64th of api.tails.
const tailsOfCustomer = 1000 / 64

// Streams on each node; the operator's must still find room.
func manyTails(w *world) {
	c := w.customer()
	defer w.leave(c)
	for node := range w.nodes {
		streams := 0
		for range 70 {
			status := w.openTail(node, c.reader, "")
			w.count(status)
			if status == http.StatusOK {
				streams++
			}
		}
		if streams > tailsOfCustomer {
			w.t.Errorf("one customer has %d streams of a node", streams)
		}
		if status := w.openTail(node, rootToken, ""); status != http.StatusOK {
			w.t.Errorf("the operator's tail: %d", status)
		}
	}
}

// openTail opens a stream of a node, which is never read, and returns the status of the response.
func (w *world) openTail(node int, token, query string) int {
	conn := w.dial(w.nodes[node].api)
	if conn == nil {
		return 0
	}
	_ = conn.SetDeadline(time.Now().Add(callLimit))
	fmt.Fprintf(conn, "GET /api/v1/tail%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", query, token)
	return readStatus(conn)
}

func readerChanges(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	id := w.send(c, 10)
	for _, operation := range []struct{ method, path, body string }{
		{"DELETE", "", ""},
		{"PATCH", "", `{"name": "mine"}`},
		{"POST", "/endpoint", `{"url": "http://127.0.0.1:9/"}`},
		{"PATCH", "/endpoint/e0", `{"disabled": true}`},
		{"DELETE", "/endpoint/e0", ""},
		{"GET", "/endpoint/e0/secret", ""},
		{"POST", "/endpoint/e0/secret/rotate", `{}`},
		{"PUT", "/endpoint/e0/headers", `{"headers": {}}`},
		{"POST", "/endpoint/e0/pause", ""},
		{"POST", "/endpoint/e0/recover", `{"since": "2020-01-01T00:00:00Z"}`},
		{"POST", "/msg", `{"eventType": "a.b", "payload": {}}`},
		{"POST", "/msg/" + id + "/endpoint/e0/resend", ""},
		{"DELETE", "/msg/" + id + "/content", ""},
	} {
		w.refused(403, "", c.reader, operation.method, c.path("%s", operation.path), operation.body)
	}
	w.must("GET", c.path("/endpoint/e0"), "", nil)
	w.must("GET", c.path("/msg/%s", id), "", nil)
}

// Whether another application is there must not be told, neither by the answer nor by what can be
// done to it.
func othersThings(w *world) {
	c, other := w.customer(), w.customer()
	defer w.leave(c)
	defer w.leave(other)
	w.endpoints(other, 1, w.sites.good)
	id := w.send(other, 10)
	var task struct{ ID string }
	w.must("POST", other.path("/endpoint/e0/recover"), fmt.Sprintf(`{"since": %q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)), &task)
	for _, token := range []string{c.portal, c.reader} {
		for _, path := range []string{"/app/%s", "/app/%s/endpoint", "/app/%s/endpoint/e0", "/app/%s/endpoint/e0/secret", "/app/%s/endpoint/e0/stats",
			"/app/%s/attempt", "/app/%s/msg", "/app/%s/msg/" + id, "/app/%s/msg/" + id + "/explain", "/stats/app/%s/attempt", "/stats/app/%s/endpoint/attempt",
			"/stats/app/%s/endpoint/e0/attempt", "/tail?app=%s", "/background-task?app=%s"} {
			there := w.attack(token, "GET", fmt.Sprintf(path, other.app), "")
			absent := w.attack(token, "GET", fmt.Sprintf(path, "nobody"), "")
			if there.status/100 == 2 || there.status != absent.status || string(there.body) != string(absent.body) {
				w.t.Errorf("GET %s of another: %s, of none: %s", path, there, absent)
			}
		}
		for _, request := range []string{"GET ", "POST /pause", "POST /resume", "POST /cancel"} {
			method, path, _ := strings.Cut(request, " ")
			there := w.attack(token, method, "/background-task/"+task.ID+path, "")
			absent := w.attack(token, method, "/background-task/qtask_"+strings.Repeat("0", 27)+path, "")
			if there.status/100 == 2 || there.status != absent.status {
				w.t.Errorf("%s of another's replay: %s, of none: %s", request, there, absent)
			}
		}
		for _, path := range []string{"/app", "/key", "/cluster", "/cluster/backup", "/operational-webhook/endpoint", "/endpoint?health=failing", "/audit",
			"/stats/attempt", "/stats/app/attempt", "/cluster/configuration"} {
			w.refused(403, "", token, "GET", path, "")
		}
	}
}
