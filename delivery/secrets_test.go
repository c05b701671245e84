package delivery

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"hookwheel/webhook"
)

// A key that the configuration lacks is reported to the operator, and not again for each attempt;
// the customer reads that it is not their fault, and no attempt is used up.
func TestMissingKey(t *testing.T) {
	ring, err := webhook.NewKeyring([]string{strings.Repeat("k", 32)})
	if err != nil {
		t.Fatal(err)
	}
	said := new(bytes.Buffer)
	s := newTestSender(loopback)
	s.complaints.log = slog.New(slog.NewTextHandler(said, nil))
	d := testDelivery("http://127.0.0.1:1")
	d.Endpoint.Keys = []webhook.Key{{Sealed: ring.Seal([]byte("x"), make([]byte, webhook.SealNonceSize))}}
	for range 3 {
		a, why, verdict := s.send(s.begin(d))
		if why != reasonSecret || !verdict.SenderFault || string(a.Response) != notOpened || verdict.Text != notOpened {
			t.Errorf("%s %+v %s", why, verdict, a.Response)
		}
	}
	if strings.Count(said.String(), "add it to encryption_keys") != 1 {
		t.Errorf("the log says %s", said)
	}
}

// cachedEndpoint is one whose cached head has about that many bytes.
func cachedEndpoint(number uint64, head int) *webhook.Endpoint {
	return &webhook.Endpoint{ID: webhook.NewID(1, number, 0), URL: "http://127.0.0.1/" + strings.Repeat("p", head), Keys: testKeys}
}

// The cache of secrets has a bound in bytes, whatever comes, and counts what it holds correctly.
func TestSecretsHaveBound(t *testing.T) {
	s := newSecrets(&Config{Keyring: new(webhook.Keyring)})
	s.room = 20_000
	held := func() (size int) {
		for _, o := range s.opened {
			size += o.size()
		}
		return size
	}
	for i := range uint64(200) {
		endpoint := cachedEndpoint(i%50, int(i*37%1500))
		for range 2 {
			if o, err := s.of(endpoint); err != nil || o.endpoint != endpoint {
				t.Fatal(o, err)
			}
		}
		if size := held(); size > 20_000 || size+s.room != 20_000 || s.opened[endpoint.ID] == nil {
			t.Fatalf("%d bytes are cached, with room for %d more", size, s.room)
		}
	}
}

// Nothing of an endpoint stays in the cache when the endpoint is changed or deleted, or when the
// node no longer leads.
func TestSecretsAreForgotten(t *testing.T) {
	s := newSecrets(&Config{Keyring: new(webhook.Keyring)})
	for i := range uint64(10) {
		if _, err := s.of(cachedEndpoint(i, 10)); err != nil {
			t.Fatal(err)
		}
	}
	s.forget(webhook.NewID(1, 3, 0))
	s.forget(webhook.NewID(1, 77, 0))
	if len(s.opened) != 9 || s.opened[webhook.NewID(1, 3, 0)] != nil {
		t.Errorf("%d are left", len(s.opened))
	}
	s.forgetAll()
	if len(s.opened) != 0 || s.room != maxOpened {
		t.Errorf("%d are left, with room for %d", len(s.opened), s.room)
	}
	tester := newTester(Config{Timeout: senderTimeout, Keyring: new(webhook.Keyring)})
	if _, err := tester.secrets.of(cachedEndpoint(1, 10)); err != nil || len(tester.secrets.opened) != 0 {
		t.Error("a test keeps secrets", err)
	}
}
