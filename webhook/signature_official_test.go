package webhook

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Receivers verify with the official library, and it signs what we verify.
func TestSignatureAgreesWithStandardWebhooks(t *testing.T) {
	random := newRandom()
	for _, length := range []int{0, 1, 55, 64, 1000, 100_000} {
		for _, secretLength := range []int{24, 63, 64, 65, 75} { // around the block of SHA-256
			secret, body := make(Secret, secretLength), make([]byte, length)
			for i := range secret {
				secret[i] = byte(random.Uint32())
			}
			for i := range body {
				body[i] = byte(random.Uint32())
			}
			testAgreement(t, secret, body)
		}
	}
}

func testAgreement(t *testing.T, secret Secret, body []byte) {
	t.Helper()
	official, err := standardwebhooks.NewWebhook(secret.Text())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	id := NewID(now.UnixMilli(), 7, 3).Text(KindMessage)
	timestamp := strconv.FormatInt(now.Unix(), 10)
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", string(secret.AppendSignature(nil, id, now.Unix(), body)))
	if err := official.Verify(body, header); err != nil {
		t.Errorf("secret of %d, body of %d bytes: the official library says %v", len(secret), len(body), err)
	}
	signature, err := official.Sign(id, now, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify([]Secret{secret}, id, timestamp, signature, body, now, time.Minute); err != nil {
		t.Errorf("secret of %d, body of %d bytes: %v", len(secret), len(body), err)
	}
}
