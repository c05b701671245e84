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
	{"explanations of a message to all endpoints", explainAll, []int{200, 201, 202, 429, 503}},
	{"tails without end", manyTails, []int{200, 429}},
	{"changes", readerChanges, []int{201, 202, 403}},
	{"other customers' things", othersThings, []int{403, 404, 201, 202}},
}

const pageLimit = 5 << 20 // a page ends after 4 MiB, with the item that is beyond them

func largeLists(w *world) {
	c := w.customer()
	defer w.leave(c)
	for range long(12, 48) {
		w.send(c, 1<<20-1000)
	}
	each(8, long(48, 400), func(int) {
		if r := w.attack(c.reader, "GET", c.path("/msg?limit=250&with_content=true"), ""); len(r.body) > pageLimit {
			w.t.Errorf("a page of %d bytes", len(r.body))
		}
	})
}

// Clients that ask for pages and take nothing of them.
func unreadLists(w *world) {
	c := w.customer()
	defer w.leave(c)
	for range 8 {
		w.send(c, 1<<20-1000)
	}
	each(16, long(100, 400), func(i int) {
		conn := w.dial(w.nodes[i%len(w.nodes)].api)
		if conn == nil {
			return
		}
		request := fmt.Sprintf("GET /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", c.path("/msg?limit=250&with_content=true"), c.reader)
		_, _ = io.WriteString(conn, strings.Repeat(request, 3))
	})
	time.Sleep(time.Duration(long(3, 15)) * time.Second)
	for i := range w.nodes {
		if r := w.call(i, rootToken, "GET", "/app?limit=250", ""); r.status != http.StatusOK {
			w.t.Errorf("the operator's list: %s", r)
		}
	}
}

func explainAll(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 500, w.sites.refusing)
	id := w.send(c, 10)
	each(8, long(30, 300), func(i int) {
		paths := []string{"/msg/%s/explain", "/msg/%s/endpoint?limit=250", "/attempt/msg/%s?limit=250"}
		w.attack(c.reader, "GET", c.path(paths[i%len(paths)], id), "")
	})
}

// tailsOfCustomer is how many streams of a node one application may have: a 64th of api.tails.
const tailsOfCustomer = 1000 / 64

// Streams on each node; the operator's must still find room.
func manyTails(w *world) {
	c := w.customer()
	defer w.leave(c)
	open := func(node int, token string) int {
		conn := w.dial(w.nodes[node].api)
		if conn == nil {
			return 0
		}
		_ = conn.SetDeadline(time.Now().Add(callLimit))
		fmt.Fprintf(conn, "GET /api/v1/tail HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n", token)
		return readStatus(conn)
	}
	for node := range w.nodes {
		streams := 0
		for range 70 {
			status := open(node, c.reader)
			w.count(status)
			if status == http.StatusOK {
				streams++
			}
		}
		if streams > tailsOfCustomer {
			w.t.Errorf("one customer has %d streams of a node", streams)
		}
		if status := open(node, rootToken); status != http.StatusOK {
			w.t.Errorf("the operator's tail: %d", status)
		}
	}
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
	for _, token := range []string{c.portal, c.reader} {
		for _, path := range []string{"", "/endpoint", "/endpoint/e0", "/endpoint/e0/secret", "/msg", "/msg/" + id, "/msg/" + id + "/explain"} {
			there := w.attack(token, "GET", other.path("%s", path), "")
			absent := w.attack(token, "GET", "/app/nobody"+path, "")
			if there.status/100 == 2 || there.status != absent.status || string(there.body) != string(absent.body) {
				w.t.Errorf("GET %s of another: %s, of none: %s", path, there, absent)
			}
		}
		for _, path := range []string{"/app", "/key", "/cluster", "/cluster/backup", "/operational-webhook/endpoint"} {
			w.refused(403, "", token, "GET", path, "")
		}
	}
}
