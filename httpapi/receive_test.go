package httpapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
)

// dialRaw connects to a node, to be sent whatever a test likes.
func (a *api) dialRaw() net.Conn {
	a.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		a.t.Fatal(err)
	}
	return conn
}

// exchange sends text on a connection of its own and returns the first response, whatever came
// before its status line.
func (a *api) exchange(text string) (*http.Response, string) {
	a.t.Helper()
	conn := a.dialRaw()
	if _, err := io.WriteString(conn, text); err != nil {
		a.t.Fatal(err)
	}
	return a.readResponse(bufio.NewReader(conn))
}

func (a *api) readResponse(r *bufio.Reader) (*http.Response, string) {
	a.t.Helper()
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return response, string(body)
}

const rawAuthorization = "Host: x\r\nAuthorization: Bearer " + apiToken + "\r\n"

// A path with a dot segment names nothing, however it is written, and nothing happens to what it
// would lead to.
func TestDotSegments(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"first"}`, 201, nil)
	var m apiThing
	a.call("POST", "/app/acme/msg", `{"eventType":"a","payload":{"kept":true}}`, 202, &m)
	for _, dot := range []string{".", "..", "%2e", "%2E", "%2e%2e", "%2E%2e", ".%2e", "%2E."} {
		for _, request := range []string{
			"DELETE /api/v1/app/acme/endpoint/" + dot, "PATCH /api/v1/app/acme/endpoint/" + dot, "PUT /api/v1/app/acme/endpoint/" + dot,
			"DELETE /api/v1/app/acme/msg/" + m.ID + "/attempt/" + dot + "/content", "DELETE /api/v1/app/acme/endpoint/" + dot + "/",
			"GET /api/v1/app/" + dot + "/app/acme", "DELETE /api/v1//app/acme/endpoint/first", "DELETE /api/v1/app/acme/endpoint//first",
		} {
			response, body := a.exchange(request + " HTTP/1.1\r\n" + rawAuthorization + "Content-Length: 16\r\n\r\n" + `{"name":"taken"}`)
			if response.StatusCode != 404 || !strings.Contains(body, "no operation at this path") {
				t.Errorf("%s: %d %s", request, response.StatusCode, body)
			}
		}
	}
	var app struct{ Name, UID string }
	if a.call("GET", "/app/acme", "", 200, &app); app.Name != "Acme" {
		t.Errorf("the application is now %+v", app)
	}
	a.call("GET", "/app/acme/endpoint/first", "", 200, nil)
	if a.call("GET", "/app/acme/msg/"+m.ID, "", 200, &m); string(m.Payload) != `{"kept":true}` {
		t.Errorf("the payload is now %s", m.Payload)
	}
}

// What can be refused by the header of a request is refused at once, before its body has come.
func TestRefusedByHeader(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	const post = "POST /api/v1/app/acme/msg HTTP/1.1\r\n"
	for name, test := range map[string]struct {
		text   string
		status int
		header string // that the response has
		want   string // in its body
	}{
		"no token":          {post + "Host: x\r\nContent-Length: 60000\r\n\r\n", 401, "WWW-Authenticate", "Invalid token"},
		"wrong token":       {post + "Host: x\r\nAuthorization: Bearer x\r\nContent-Length: 60000\r\n\r\n", 401, "WWW-Authenticate", "Invalid token"},
		"no token, chunks":  {post + "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n", 401, "WWW-Authenticate", "Invalid token"},
		"no token, expects": {post + "Host: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", 401, "WWW-Authenticate", "Invalid token"},
		"no token, 1.0":     {"POST /api/v1/app/acme/msg HTTP/1.0\r\nContent-Length: 60000\r\n\r\n", 401, "WWW-Authenticate", "Invalid token"},
		"too large":         {post + rawAuthorization + "Content-Length: 65537\r\n\r\n", 413, "", "65536"},
		"too large, expects": {post + rawAuthorization + "Expect: 100-continue\r\nContent-Length: 65537\r\n\r\n", 413, "",
			"65536"},
		"compressed": {post + rawAuthorization + "Content-Encoding: gzip\r\nContent-Length: 100\r\n\r\n", 415, "Accept-Encoding", "Content-Encoding"},
		"compressed, in the second line": {post + rawAuthorization + "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n",
			415, "Accept-Encoding", "Content-Encoding"},
		"HTTP/3":       {"POST /api/v1/app/acme/msg HTTP/3.0\r\n" + rawAuthorization + "Content-Length: 100\r\n\r\n", 505, "", "HTTP/1.1"},
		"HTTP/3, GET":  {"GET /api/v1/app HTTP/3.0\r\n" + rawAuthorization + "\r\n", 505, "", "HTTP/1.1"},
		"long URI":     {"GET /api/v1/app?x=" + strings.Repeat("y", 9000) + " HTTP/1.1\r\n" + rawAuthorization + "\r\n", 414, "", "URI"},
		"parameters":   {"GET /api/v1/app?" + strings.Repeat("x&", 101) + " HTTP/1.1\r\n" + rawAuthorization + "\r\n", 414, "", "100 parameters"},
		"longer URI":   {"GET /api/v1/app?x=" + strings.Repeat("y", 40000) + " HTTP/1.1\r\n" + rawAuthorization + "\r\n", 431, "", "URI"},
		"large header": {"GET /api/v1/app HTTP/1.1\r\n" + rawAuthorization + "X: " + strings.Repeat("y", 40000) + "\r\n\r\n", 431, "", "header"},
		"many headers": {"GET /api/v1/app HTTP/1.1\r\n" + rawAuthorization + strings.Repeat("X: y\r\n", 10000) + "\r\n", 431, "", "header"},
		"two tokens":   {post + rawAuthorization + "Authorization: Bearer x\r\nContent-Length: 60000\r\n\r\n", 400, "", "more than one Authorization"},
		"two keys":     {post + rawAuthorization + "Idempotency-Key: a\r\nidempotency-key: b\r\nContent-Length: 60000\r\n\r\n", 400, "", "more than one Idempotency-Key"},
		"between chunks": {post + rawAuthorization + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 200_000) + "\r\n{\r\n0\r\n\r\n", 400, "",
			"between the chunks"},
	} {
		response, body := a.exchange(test.text)
		if response.StatusCode != test.status || !strings.Contains(body, test.want) || test.header != "" && response.Header.Get(test.header) == "" ||
			!json.Valid([]byte(body)) || test.status != 414 && test.status != 401 && test.status != 505 && !response.Close {
			t.Errorf("%s: %s %v %s", name, response.Status, response.Header, body)
		}
	}
	for name, text := range map[string]string{
		"identity":    post + rawAuthorization + "Content-Encoding: identity\r\nContent-Length: 32\r\n\r\n" + `{"eventType":"a","payload":{}   }`[:32],
		"empty":       post + rawAuthorization + "Content-Encoding:\r\nContent-Length: 32\r\n\r\n" + `{"eventType":"a","payload":{}   }`[:32],
		"lower case":  "GET /api/v1/app HTTP/1.1\r\nHost: x\r\nAuthorization: bearer " + apiToken + "\r\n\r\n",
		"two spaces":  "GET /api/v1/app HTTP/1.1\r\nHost: x\r\nAuthorization: BEARER  " + apiToken + "\r\n\r\n",
		"ping":        "POST /api/v1/health/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"portal page": "GET /portal HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		if response, body := a.exchange(text); response.StatusCode >= 300 && name != "identity" && name != "empty" || response.StatusCode == 415 {
			t.Errorf("%s: %s %s", name, response.Status, body)
		}
	}
}

// Bodies of all sizes arrive whole, in either framing, one after the other on one connection.
func TestBodies(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	conn := a.dialRaw()
	r := bufio.NewReader(conn)
	for _, size := range []int{0, 1, 4000, 8191, 8192, 8193, 16 << 10, 32<<10 + 1, 100_000, 1<<20 - 100} {
		for _, chunked := range []bool{false, true} {
			payload := `{"x":"` + strings.Repeat("y", size) + `"}`
			body := `{"eventType":"a","payload":` + payload + `}`
			text := "POST /api/v1/app/acme/msg HTTP/1.1\r\n" + rawAuthorization
			if chunked {
				half := len(body) / 2
				text += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x;note\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], len(body)-half, body[half:])
			} else {
				text += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
			}
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			response, reply := a.readResponse(r)
			var m apiThing
			if err := json.Unmarshal([]byte(reply), &m); err != nil || response.StatusCode != 202 || string(m.Payload) != payload {
				t.Fatalf("%d bytes, in chunks %t: %s, %v, %.200s", len(body), chunked, response.Status, err, reply)
			}
		}
	}
}

// A body that does not come to its end takes no effect.
func TestBodyCutShort(t *testing.T) {
	a := apiStart(t)
	const body = `{"name":"cut","uid":"cut"}`
	for _, announced := range []int{len(body) + 1, 9000} {
		conn := a.dialRaw()
		text := fmt.Sprintf("POST /api/v1/app HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s%s", rawAuthorization, announced, body, strings.Repeat(" ", max(0, announced-len(body)-10)))
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		reply, err := io.ReadAll(conn)
		if err != nil || bytes.Contains(reply, []byte("HTTP/1.1 2")) {
			t.Errorf("%v %s", err, reply)
		}
	}
	a.call("GET", "/app/cut", "", 404, nil)
}

// Memory grows with what has arrived of bodies, not with what was announced, and those without a
// token are not waited for.
func TestAnnouncedBodiesTakeNoMemory(t *testing.T) {
	const count = 300
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	before := heap()
	conns := make([]net.Conn, count)
	for i := range conns {
		conns[i] = a.dialRaw()
		authorization := rawAuthorization
		if i%2 == 0 {
			authorization = "Host: x\r\n"
		}
		text := "POST /api/v1/app/acme/msg HTTP/1.1\r\n" + authorization + "Content-Length: 1000000\r\n\r\n" + `{"eventType":"a",` + strings.Repeat(" ", 9000)
		if _, err := io.WriteString(conns[i], text); err != nil {
			t.Fatal(err)
		}
	}
	for i, conn := range conns {
		if i%2 == 0 {
			if response, body := a.readResponse(bufio.NewReader(conn)); response.StatusCode != 401 {
				t.Fatal(response.Status, body)
			}
		}
	}
	if grown := heap() - before; grown > count*128<<10 {
		t.Errorf("%d requests that announced a body of 1 MB each take %d KiB", count, grown>>10)
	}
	rest := `"payload":{}}`
	rest = strings.Repeat(" ", 1_000_000-9000-len(`{"eventType":"a",`)-len(rest)) + rest
	if _, err := io.WriteString(conns[1], rest); err != nil {
		t.Fatal(err)
	}
	if response, body := a.readResponse(bufio.NewReader(conns[1])); response.StatusCode != 202 {
		t.Error(response.Status, body)
	}
}

// A client that reads only after it has sent everything gets the response to a request that was
// refused before its body was read.
func TestRefusedWhileSending(t *testing.T) {
	const size = 15 << 20
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody = 1 << 20 })
	for name, tt := range map[string]struct {
		header string
		want   int
	}{
		"no token":  {"Host: x\r\n", 401},
		"too large": {rawAuthorization, 413},
		"encoded":   {rawAuthorization + "Content-Encoding: gzip\r\n", 415},
	} {
		conn := a.dialRaw()
		text := fmt.Sprintf("POST /api/v1/app/acme/msg HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n", tt.header, size)
		for _, part := range []string{text, strings.Repeat(" ", size/2), strings.Repeat(" ", size/2)} {
			if _, err := io.WriteString(conn, part); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(200 * time.Millisecond) // a slow client
		}
		if response, body := a.readResponse(bufio.NewReader(conn)); response.StatusCode != tt.want {
			t.Errorf("%s: %s %s", name, response.Status, body)
		}
	}
}

func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
