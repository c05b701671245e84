package delivery

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// keyOf is a key in the tests of this file: its secret, how the API writes it, and its expiry.
type keyOf struct {
	secret  []byte
	text    string
	expires time.Time
}

// plainRequest writes a request in the simplest way, to compare what is sent with. It shares no
// code with request.go, and hashes the key for each request.
func plainRequest(d *webhook.Delivery, host, target string, own webhook.Headers, keys []keyOf, now time.Time) []byte {
	m, e := d.Message, d.Endpoint
	body, contentType := m.Payload, m.ContentType
	if e.Envelope {
		body = webhook.AppendEnvelope(nil, m)
	}
	if e.Envelope || contentType == "" {
		contentType = "application/json"
	}
	sum := func(key []byte, parts ...string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, strings.Join(parts, "."))
		return h.Sum(nil)
	}
	id, timestamp := m.ID.Text(webhook.KindMessage), fmt.Sprint(now.Unix())
	var signatures, hexes, timed []string
	for _, key := range keys {
		if !key.expires.IsZero() && now.After(key.expires) {
			continue
		}
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(sum(key.secret, id, timestamp, string(body))))
		hexes = append(hexes, hex.EncodeToString(sum([]byte(key.text), string(body))))
		timed = append(timed, ",v1="+hex.EncodeToString(sum([]byte(key.text), timestamp, string(body))))
	}
	text := "POST " + target + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Hookwheel/test\r\n"
	if own["accept"] == "" {
		text += "Accept: */*\r\n"
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		text += name + ": " + own[name] + "\r\n"
	}
	text += "Content-Type: " + contentType + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n"
	for _, prefix := range []string{"Webhook-", "Svix-"} {
		text += prefix + "Id: " + id + "\r\n" + prefix + "Timestamp: " + timestamp + "\r\n" + prefix + "Signature: " + strings.Join(signatures, " ") + "\r\n"
	}
	switch e.Style {
	case webhook.StyleGitHub:
		text += "X-Hub-Signature-256: sha256=" + hexes[0] + "\r\n"
	case webhook.StyleStripe:
		text += "Stripe-Signature: t=" + timestamp + strings.Join(timed, "") + "\r\n"
	case webhook.StyleHex:
		text += "X-Webhook-Signature: " + hexes[0] + "\r\n"
	}
	return append([]byte(text+"\r\n"), body...)
}

// randomDelivery is one of a random kind, with what plainRequest needs of it.
func randomDelivery(random *rand.Rand, url string, now time.Time) (d webhook.Delivery, own webhook.Headers, keys []keyOf) {
	pick := func(choices ...string) string { return choices[random.IntN(len(choices))] }
	size := [...]int{0, 1, 100, 5_000, maxOneWrite - 600, maxOneWrite, 300_000}[random.IntN(7)]
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	m := &webhook.Message{ID: webhook.NewID(now.UnixMilli(), random.Uint64(), random.Uint32()%100), EventType: pick("a", "invoice.paid"), Raw: true,
		ContentType: pick("", "text/plain; charset=utf-8"), Payload: payload}
	e := &webhook.Endpoint{URL: url, InsecureTLS: true, Envelope: random.IntN(4) == 0,
		Style: webhook.SignatureStyle(pick("", "", "github", "stripe", "hex"))}
	own = webhook.Headers{}
	for _, name := range []string{"x-b", "X-A", "Authorization", "accept"} {
		if random.IntN(3) == 0 {
			own[name] = pick("1", "a long value, with ü", strings.Repeat("v", 4000))
		}
	}
	if len(own) > 0 {
		quoted := make([]string, 0, len(own))
		for name, value := range own {
			quoted = append(quoted, fmt.Sprintf("%q: %q", name, value))
		}
		e.Headers = seal("{" + strings.Join(quoted, ",") + "}")
	}
	for i := range 1 + random.IntN(3) {
		secret := webhook.Secret(strings.Repeat(string('a'+rune(random.IntN(26))), 24+random.IntN(50)))
		key := keyOf{secret: secret, text: secret.Text()}
		if e.Style != webhook.StyleStandard && random.IntN(2) == 0 {
			key.text = "plain text of any " + strings.Repeat("x", random.IntN(100))
			key.secret = []byte(key.text)
		}
		if i > 0 {
			key.expires = now.Add(time.Duration(random.IntN(3)-1) * time.Hour)
		}
		keys = append(keys, key)
		e.Keys = append(e.Keys, webhook.Key{Sealed: seal(key.text), Expires: key.expires})
	}
	return webhook.Delivery{Message: m, ID: m.ID, Endpoint: e, Number: 1}, own, keys
}

// recordingServer passes on what it receives, up to the first byte of a request that exceeds want.
type recordingServer struct {
	mu   sync.Mutex
	want int
	got  chan []byte
}

func (r *recordingServer) talk(conn net.Conn) {
	buffer := make([]byte, 512<<10)
	for {
		for n := 0; ; {
			m, err := conn.Read(buffer[n:])
			if err != nil {
				return
			}
			n += m
			r.mu.Lock()
			want := r.want
			r.mu.Unlock()
			if n >= want {
				r.got <- bytes.Clone(buffer[:n])
				break
			}
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// TestBytesOnTheWire compares requests of all kinds, sent one after the other over the same
// connections, with requests that are written in the simplest way.
func TestBytesOnTheWire(t *testing.T) {
	server := &recordingServer{got: make(chan []byte, 1)}
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", time.Now(), time.Now().Add(time.Hour))}}
	hosts := map[string]string{"http": rawServer(t, server.talk), "https": rawServer(t, func(c net.Conn) { server.talk(tls.Server(c, config)) })}
	now := time.Now()
	s := newTestSender(loopback)
	s.timeout, s.clock = time.Minute, func() time.Time { return now }
	defer s.dialer.abort()
	random := rand.New(rand.NewPCG(1, 2))
	kept := 0
	for i := range 200 {
		scheme := [...]string{"http", "http", "https"}[random.IntN(3)]
		d, own, keys := randomDelivery(random, scheme+"://"+hosts[scheme]+"/p?q=1", now)
		d.Endpoint.ID = webhook.NewID(1, uint64(i%3), 0) // so that endpoints are changed, too
		want := plainRequest(&d, hosts[scheme], "/p?q=1", own, keys, now)
		server.mu.Lock()
		server.want = len(want)
		server.mu.Unlock()
		a, why, _ := s.send(s.begin(d))
		if why != reasonSuccess || string(a.Response) != "ok" || a.Trace.Sent != uint32(len(want)) {
			t.Fatalf("attempt %d: %s %s %+v", i, why, a.Response, a.Trace)
		}
		if got := <-server.got; !bytes.Equal(got, want) {
			t.Fatalf("attempt %d sent %.1500q, want %.1500q", i, got, want)
		}
		if a.Trace.Reused {
			kept++
		}
	}
	if kept < 190 {
		t.Errorf("only %d of 200 attempts used an open connection", kept)
	}
}
