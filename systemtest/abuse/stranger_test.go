package abuse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"
)

// What somebody without a token does on the port of the API.
var strangerAbuses = []abuse{
	{"announced bodies", announcedBodies, []int{0, 401, 429, 503}},
	{"idle connections", idleConnections, []int{0}},
	{"invalid tokens", wrongTokens, []int{401}},
	{"requests that are barely HTTP", oddRequests, []int{0, 200, 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 422, 431, 501, 505}},
	{"random requests", randomRequests, nil},
}

func init() {
	for status := range 500 { // any that blames the client
		strangerAbuses[4].responses = append(strangerAbuses[4].responses, status)
	}
	strangerAbuses[4].responses = append(strangerAbuses[4].responses, 501, 503, 505)
}

// Bodies of which only the length ever comes, without a token and with a customer's.
func announcedBodies(w *world) {
	c := w.customer()
	defer w.leave(c)
	for _, token := range []string{"", "wrong", c.portal} {
		each(64, long(500, 2000), func(i int) {
			conn := w.dial(w.nodes[i%len(w.nodes)].api)
			if conn == nil {
				return
			}
			conn = w.secured(conn)
			fmt.Fprintf(conn, "POST /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Length: 1048576\r\n\r\n{", c.path("/endpoint"), token)
			if token != c.portal {
				_ = conn.SetDeadline(time.Now().Add(callLimit))
				w.count(readStatus(conn))
			}
		})
	}
}

// More connections than a single node has descriptors for, several times. Deliveries and the store
// must have theirs.
func idleConnections(w *world) {
	count := long(2000, 6000)
	if len(w.nodes) == 1 && !w.secure {
		count = 3 * descriptors
	}
	each(64, count, func(i int) { w.dial(w.nodes[i%len(w.nodes)].api) })
	for i, n := range w.nodes {
		w.raw(i, callLimit, []byte("GET /api/v1/health HTTP/1.1\r\nHost: a\r\n\r\n")) // is accepted after the others
		if files, err := os.ReadDir(n.proc("fd")); len(w.nodes) == 1 && !w.secure && (err != nil || len(files) > descriptors-keptDescriptors) {
			w.t.Errorf("%s has %d of %d descriptors open, %v", n.name, len(files), descriptors, err)
		}
	}
	time.Sleep(2 * time.Second) // in which they stay
}

// keptDescriptors is how many of a single node are not for clients; see docs/limits.md.
const keptDescriptors = 448

func wrongTokens(w *world) {
	jwt := func(header, claims string) string {
		encode := base64.RawURLEncoding.EncodeToString
		return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(bytes.Repeat([]byte("s"), 32))
	}
	tokens := []string{"", "x", rootToken + "x", rootToken[:len(rootToken)-1], strings.ToUpper(rootToken), rootToken + " " + rootToken, w.producer + "x",
		jwtSecret, clusterSecret, encryptionKey, strings.Repeat("x", 10_000), jwt(`{"alg":"none"}`, `{"sub":"org_1"}`), jwt(`{"alg":"HS256"}`, `{"sub":"org_1"}`),
		jwt(`{"alg":"RS256"}`, `{"sub":"org_1"}`), "..", "a.b.c", "é"}
	for _, token := range tokens {
		for _, path := range []string{"/app", "/cluster", "/cluster/backup", "/app/bystander", "/tail", "/key"} {
			w.refused(401, "", token, "GET", path, "")
		}
		if r := w.attack(token, "POST", "/app", `{"name": "x"}`); r.header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("401 without WWW-Authenticate: %s", r)
		}
	}
}

// Requests that servers have read in two ways, or that make one work.
func oddRequests(w *world) {
	authorization := "Authorization: Bearer " + rootToken + "\r\n"
	head := "GET /api/v1/app HTTP/1.1\r\nHost: a\r\n" + authorization
	post := "POST /api/v1/app HTTP/1.1\r\nHost: a\r\n" + authorization
	for _, request := range []string{
		post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		post + "Content-Length: -1\r\n\r\n",
		post + "Content-Length: 99999999999999999999\r\n\r\n",
		post + "Content-Length: 1099511627776\r\nExpect: 100-continue\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("x", 200_000) + "\r\n{}\r\n0\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		post + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
		head + "X: " + strings.Repeat("x", 17_000) + "\r\n\r\n",
		head + strings.Repeat("X: y\r\n", 5_000) + "\r\n",
		head + " folded\r\n\r\n",
		head + "X\x00: y\r\n\r\n",
		"GET /api/v1/app?" + strings.Repeat("a&", 5000) + " HTTP/1.1\r\nHost: a\r\n" + authorization + "\r\n",
		"GET /api/v1/app HTTP/3.0\r\nHost: a\r\n" + authorization + "\r\n",
		"GET /api/v1/app HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + authorization + "\r\n",
		"GET /api/v1/app HTTP/1.1\n" + authorization + "\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + authorization,
		authorization + head + "\r\n",
		rootToken, "\x16\x03\x01\x00\xff" + rootToken, "\r\n\r\n" + head,
	} {
		for i := range w.nodes {
			status := w.raw(i, 5*time.Second, []byte(request))
			w.count(status)
		}
	}
	for scheme, want := range map[string]int{"Bearer ": 200, "bearer ": 200, "BEARER   ": 200, "Basic ": 401, "": 401} {
		request := "GET /api/v1/app HTTP/1.1\r\nHost: a\r\nAuthorization: " + scheme + rootToken + "\r\n\r\n"
		if status := w.raw(0, callLimit, []byte(request)); status != want {
			w.t.Errorf("%q: got %d, want %d", scheme, status, want)
		}
	}
}

// Requests with tokens in them, changed at random.
func randomRequests(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	tokens := []string{rootToken, w.producer, c.portal, c.reader, jwtSecret}
	paths := []string{"/app", c.path(""), c.path("/endpoint"), c.path("/endpoint/e0"), c.path("/endpoint/e0/secret"), c.path("/endpoint/e0/headers"),
		c.path("/msg"), c.path("/msg?limit=3&before=2030-01-01T00:00:00Z"), "/tail", "/key", "/event-type", "/health", "/auth/whoami", "/cluster"}
	bodies := []string{"", "{}", `{"url": "http://127.0.0.1:9/"}`, `{"eventType": "a.b", "payload": {"a": [1, 2]}}`, `{"headers": {"X-Api-Key": "` + w.secret("header-that-is-secret-000") + `"}}`}
	methods := []string{"GET", "POST", "PUT", "PATCH", "HEAD", "OPTIONS"}
	w.t.Logf("seed %d", *seedFlag)
	each(8, long(3000, 50_000), func(i int) {
		random := rand.New(rand.NewPCG(*seedFlag, uint64(i)))
		pick := func(list []string) string { return list[random.IntN(len(list))] }
		body := pick(bodies)
		request := fmt.Appendf(nil, "%s /api/v1%s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			pick(methods), pick(paths), pick(tokens), len(body), body)
		for range random.IntN(4) {
			request = mutate(random, request)
		}
		if status := w.raw(i%len(w.nodes), time.Second, request); status == http.StatusInternalServerError {
			w.t.Errorf("500 to %q", request)
		} else {
			w.count(max(status, 0))
		}
	})
}

var pieces = []string{"\r\n", "\x00", ": ", "Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", "%00", "..", "\xff\xfe", "\"", "{", "[", "&", "HTTP/1.0", "\r", "\n", "18446744073709551616", "-1"}

// mutate changes a byte, or cuts, doubles or inserts a piece.
func mutate(random *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	at := random.IntN(len(b))
	end := min(len(b), at+1+random.IntN(40))
	switch random.IntN(5) {
	case 0:
		b[at] = byte(random.Uint32())
		return b
	case 1:
		return append(bytes.Clone(b[:at]), b[end:]...)
	case 2:
		return append(bytes.Clone(b[:end]), b[at:]...)
	case 3:
		return bytes.Join([][]byte{b[:at], []byte(pieces[random.IntN(len(pieces))]), b[at:]}, nil)
	default:
		return bytes.Clone(b[:at])
	}
}
