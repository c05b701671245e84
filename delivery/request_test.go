package delivery

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

type received struct {
	header http.Header
	body   string
}

// deliver sends a message to an endpoint and gives back what net/http, which we did not write, has
// received.
func deliver(t *testing.T, m webhook.Message, e webhook.Endpoint) received {
	t.Helper()
	got := make(chan received, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- received{r.Header, string(body)}
	}))
	defer server.Close()
	if e.URL == "" {
		e.URL = server.URL
	} else {
		e.URL = strings.Replace(e.URL, "HOST", strings.TrimPrefix(server.URL, "http://"), 1)
	}
	m.ID, m.EventType = webhook.NewID(1_790_000_000_000, 1, 0), "invoice.paid"
	s := newTestSender(loopback)
	defer s.dialer.abort()
	if a, why, _ := s.send(s.begin(webhook.Delivery{Message: &m, Endpoint: &e, Number: 1})); why != reasonSuccess {
		t.Fatalf("%s: %s", why, a.Response)
	}
	return <-got
}

func seal(text string) webhook.Sealed { return new(webhook.Keyring).Seal([]byte(text), nil) }

func TestRequestHeaders(t *testing.T) {
	message := webhook.Message{Payload: []byte("<a/>"), Raw: true, ContentType: "application/xml"}
	endpoint := webhook.Endpoint{Keys: testKeys, Headers: seal(`{"Authorization": "Bearer 7", "x-tenant": "ü"}`)}
	got := deliver(t, message, endpoint)
	for name, want := range map[string]string{"Content-Type": "application/xml", "Authorization": "Bearer 7", "X-Tenant": "ü", "User-Agent": "Hookwheel/test"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.body != "<a/>" {
		t.Errorf("body %q", got.body)
	}
}

func TestUserInURL(t *testing.T) {
	got := deliver(t, webhook.Message{Payload: []byte("{}")}, webhook.Endpoint{Keys: testKeys, URL: "http://me:p%40ss@HOST/x"})
	user, password, ok := (&http.Request{Header: got.header}).BasicAuth()
	if !ok || user != "me" || password != "p@ss" {
		t.Errorf("%q %q %v", user, password, ok)
	}
}

// TestRotation has two keys of each kind in force, and one that has expired.
func TestRotation(t *testing.T) {
	secrets := []webhook.Secret{[]byte(strings.Repeat("a", 24)), []byte(strings.Repeat("b", 24)), []byte(strings.Repeat("c", 24))}
	asymmetric := webhook.AsymmetricKey([]byte(strings.Repeat("s", 32)))
	soon := time.Now().Add(time.Hour)
	endpoint := webhook.Endpoint{Style: webhook.StyleStripe, Keys: []webhook.Key{
		{Sealed: seal(asymmetric.Text())}, {Sealed: seal(secrets[0].Text()), Expires: soon}, {Sealed: seal(secrets[1].Text()), Expires: soon},
		{Sealed: seal(secrets[2].Text()), Expires: time.Now().Add(-time.Second)}}}
	got := deliver(t, webhook.Message{Payload: []byte(`{"a": 1}`)}, endpoint)
	for i, text := range []string{asymmetric.PublicText(), secrets[0].Text(), secrets[1].Text(), secrets[2].Text()} {
		key, err := webhook.ParseVerifyKey(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, prefix := range []string{"Webhook-", "Svix-"} {
			err = key.Verify(got.header.Get(prefix+"Id"), got.header.Get(prefix+"Timestamp"), got.header.Get(prefix+"Signature"), []byte(got.body), time.Now(), time.Minute)
			if (err == nil) != (i < 3) {
				t.Errorf("key %d, %s: %v", i, prefix, err)
			}
		}
	}
	if value := got.header.Get("Stripe-Signature"); strings.Count(value, "v1=") != 2 {
		t.Errorf("Stripe-Signature: %s", value)
	}
	endpoint.Keys = endpoint.Keys[:1]
	if got := deliver(t, webhook.Message{Payload: []byte("{}")}, endpoint); got.header.Get("Stripe-Signature") != "" {
		t.Error("a style without a symmetric key")
	}
}

// TestEnvelopeIsSigned verifies, by hand, the signature of a style over the envelope.
func TestEnvelopeIsSigned(t *testing.T) {
	secret := webhook.Secret(strings.Repeat("a", 24))
	got := deliver(t, webhook.Message{Payload: []byte("text"), Raw: true, ContentType: "text/plain"},
		webhook.Endpoint{Style: webhook.StyleGitHub, Envelope: true, Keys: []webhook.Key{{Sealed: seal(secret.Text())}}})
	mac := hmac.New(sha256.New, []byte(secret.Text()))
	mac.Write([]byte(got.body))
	if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); got.header.Get("X-Hub-Signature-256") != want {
		t.Errorf("%s, want %s", got.header.Get("X-Hub-Signature-256"), want)
	}
	var envelope struct{ Type, Data string }
	if err := json.Unmarshal([]byte(got.body), &envelope); err != nil || envelope.Type != "invoice.paid" || envelope.Data != "text" {
		t.Errorf("%s: %v", got.body, err)
	}
	if got.header.Get("Content-Type") != webhook.JSONContentType {
		t.Errorf("content type %q", got.header.Get("Content-Type"))
	}
}

// TestWire checks, byte by byte, what a URL becomes in the request line and in the headers that
// follow from it.
func TestWire(t *testing.T) {
	lines := make(chan string, 1)
	address := rawServer(t, func(conn net.Conn) {
		buffer := make([]byte, 4096)
		n, _ := conn.Read(buffer)
		lines <- string(buffer[:n])
		fmt.Fprint(conn, "HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")
	})
	_, port, _ := net.SplitHostPort(address)
	for given, want := range map[string][]string{
		"http://HOST/p?q=a b":            {"POST /p?q=a%20b HTTP/1.1\r\n", "\r\nHost: HOST\r\n", "\r\nAccept: */*\r\n"},
		"http://HOST/p?a b HTTP/1.1":     {"POST /p?a%20b%20HTTP/1.1 HTTP/1.1\r\n"},
		"http://HOST/a/../ü?für#x":       {"POST /%C3%BC?f%C3%BCr HTTP/1.1\r\n"},
		"http://HOST/hook ":              {"POST /hook HTTP/1.1\r\n"},
		"http://:secret@HOST/":           {"\r\nAuthorization: Basic OnNlY3JldA==\r\n"},
		"http://0x7f.1:" + port + "?%":   {"POST /?%25 HTTP/1.1\r\n", "\r\nHost: HOST\r\n"},
		"http://[::ffff:7f00:1]:" + port: {"POST / HTTP/1.1\r\n", "\r\nHost: [::ffff:127.0.0.1]:" + port + "\r\n"},
	} {
		a, why := sendTo(strings.ReplaceAll(given, "HOST", address), loopback)
		if why != reasonSuccess {
			t.Errorf("%s: %s %s", given, why, a.Response)
			continue
		}
		got := <-lines
		for _, text := range want {
			if !strings.Contains(got, strings.ReplaceAll(text, "HOST", address)) {
				t.Errorf("%s: no %q in %q", given, text, got)
			}
		}
		if strings.Count(got, "\r\nHost: ") != 1 || strings.Contains(got, "chunked") {
			t.Errorf("%s: %q", given, got)
		}
	}
}

// A zone is for dialing only (RFC 6874, section 4).
func TestZone(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6:", err)
	}
	defer l.Close()
	hosts := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host })}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if a, why := sendTo("http://[::1%25lo]:"+port+"/p", loopback); why != reasonSuccess {
		t.Fatalf("%s %s", why, a.Response)
	}
	if got := <-hosts; got != "[::1]:"+port {
		t.Errorf("Host: %s", got)
	}
}
