package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/config"
	"hookwheel/node"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// at is the client for another address of the same node.
func (a *api) at(address string) *api { return &api{a.t, "http://" + address, a.node} }

// statusOf returns the status of a request that the OpenAPI document may not know.
func (a *api) statusOf(path, token string) int { return a.from("", "GET", path, token, "").StatusCode }

// The portal's own address serves the portal, and tokens of applications; nobody else, and nothing
// that shows the cluster.
func TestPortalListener(t *testing.T) {
	a, apps, endpoint, msg := authWorld(t, func(c *config.Config) { c.Portal.Listen = "127.0.0.1:0" })
	portal := a.at(a.node.PortalAddr())
	own := a.newKey(`{"name":"k","role":"application","applicationId":"one"}`).Token
	reading := a.newKey(`{"name":"k","role":"application","applicationId":"one","readOnly":true}`).Token
	other := a.newKey(`{"name":"k","role":"application","applicationId":"two"}`).Token
	admin := a.newKey(`{"name":"k","role":"admin"}`).Token
	reader := a.newKey(`{"name":"k","role":"reader"}`).Token
	signed := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(c jwt.MapClaims) { c["sub"] = apps[0].ID })
	organization := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(jwt.MapClaims) {})

	for path, want := range map[string]int{"/portal": 200, "/": 200, "/metrics": 404, "/docs": 404, "/api/v1/openapi.json": 404,
		"/api/v1/health": 200, "/api/v1/health/ping": 404} {
		if got := portal.statusOf(path, ""); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	if response := portal.from("", "GET", "/api/v1/health", "", ""); response.ContentLength != 0 {
		t.Error("the health of the portal shows more than its status")
	}
	for _, path := range []string{"/app/one", "/app/one/endpoint/" + endpoint.ID + "/secret", "/app/one/msg/" + msg.ID, "/background-task", "/auth/whoami"} {
		wants := map[string]int{own: 200, signed: 200, reading: 200, other: 404, admin: 403, reader: 403, apiToken: 403, organization: 403, "": 401}
		if strings.HasSuffix(path, "/secret") {
			wants[reading] = 403
		}
		if !strings.HasPrefix(path, "/app") {
			wants[other] = 200
		}
		for token, want := range wants {
			if got := portal.statusOf("/api/v1"+path, token); got != want {
				t.Errorf("GET %s with %.12s: %d, want %d", path, token, got, want)
			}
		}
	}
	for _, path := range []string{"/app", "/key", "/cluster", "/cluster/backup", "/operational-webhook/endpoint"} {
		for _, token := range []string{own, admin, apiToken} {
			if got := portal.statusOf("/api/v1"+path, token); got != 404 && got != 405 {
				t.Errorf("GET %s: %d", path, got)
			}
		}
	}
	if got := portal.from("", "POST", "/api/v1/app/one/msg", apiToken, `{"eventType":"a","payload":{}}`).StatusCode; got != 405 {
		t.Errorf("POST a message: %d", got)
	}
	if got := portal.as(own, "POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`); got != 201 {
		t.Errorf("POST an endpoint: %d", got)
	}
	var access struct{ URL string }
	a.call("POST", "/auth/app-portal-access/one", "", 200, &access)
	if !strings.HasPrefix(access.URL, portal.url+"/portal#key=") {
		t.Errorf("the link leads to %.40s, not to %s", access.URL, portal.url)
	}
}

// Metrics may have an address of their own, or need a token.
func TestMetricsListener(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.Metrics.Listen = "127.0.0.1:0" })
	metrics := a.at(a.node.MetricsAddr())
	for path, want := range map[string]int{"/metrics": 200, "/docs": 200, "/": 200, "/portal": 404, "/api/v1/app": 404, "/api/v1/health": 404} {
		if got := metrics.statusOf(path, apiToken); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	for path, want := range map[string]int{"/metrics": 404, "/docs": 404, "/": 200, "/portal": 200, "/api/v1/openapi.json": 200} {
		if got := a.statusOf(path, apiToken); got != want {
			t.Errorf("the API: GET %s: %d, want %d", path, got, want)
		}
	}

	a = apiStart(t, func(c *config.Config) { c.API.Metrics.Token = true })
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, nil)
	for token, want := range map[string]int{
		"": 401, "0123456789abcdeF": 401, apiToken: 200,
		a.newKey(`{"name":"k","role":"admin"}`).Token:                                              200,
		a.newKey(`{"name":"k","role":"reader"}`).Token:                                             200,
		a.newKey(`{"name":"k","role":"producer"}`).Token:                                           403,
		a.newKey(`{"name":"k","role":"application","applicationId":"one"}`).Token:                  403,
		a.newKey(`{"name":"k","role":"application","applicationId":"one","readOnly": true}`).Token: 403,
	} {
		if got := a.statusOf("/metrics", token); got != want {
			t.Errorf("metrics with %.12s: %d, want %d", token, got, want)
		}
	}
	if got := a.statusOf("/docs", ""); got != 200 {
		t.Errorf("docs: %d", got)
	}
}

// When a node stops, requests under way are answered at each of its addresses.
func TestShutdownOfAllListeners(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Portal.Listen, c.API.Metrics.Listen = "127.0.0.1:0", "127.0.0.1:0" })
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, nil)
	token := a.newKey(`{"name":"k","role":"application","applicationId":"one"}`).Token
	body := `{"url":"http://127.0.0.1:9/"}`
	conn, err := net.Dial("tcp", a.node.PortalAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /api/v1/app/one/endpoint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", token, len(body)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") { // the node reads the body now
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- a.node.Close() }()
	for _, address := range []string{a.node.Addr(), a.node.PortalAddr(), a.node.MetricsAddr()} {
		wait.For(t, "the end of "+address, func() bool {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 201 {
		t.Error(response.Status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// A node that can't have one of its addresses lets go of the others.
func TestListenersAllOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	api := process.FreeAddress(t)
	c := apiConfig(t, func(c *config.Config) { c.API.Listen, c.Portal.Listen = api, taken.Addr().String() })
	if _, err := node.Start(c, "test", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "listening for the portal") {
		t.Errorf("it starts, or fails with %v", err)
	}
	again, err := net.Listen("tcp", api)
	if err != nil {
		t.Fatalf("the address of the API is still in use: %v", err)
	}
	again.Close()
}
