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
