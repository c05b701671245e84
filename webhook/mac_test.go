package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
)

// TestKeysSignConcurrently has many goroutines sign with the same keys, each time other bytes, and
// compares the signatures with those of a hash that is used once.
func TestKeysSignConcurrently(t *testing.T) {
	once := func(key, text []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(text)
		return h.Sum(nil)
	}
	keys := []SigningKey{SymmetricKey(bytes.Repeat([]byte("k"), 24)), SymmetricKey(bytes.Repeat([]byte("l"), 75))}
	plain, err := ParseSigningKey("a plain text that is longer than the block of the hash, which has 64 bytes")
	if err != nil {
		t.Fatal(err)
	}
	keys = append(keys, plain)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				key := keys[j%len(keys)]
				id, timestamp, body := fmt.Sprintf("msg_%d", i), int64(j), bytes.Repeat([]byte{byte(i)}, j)
				text := append([]byte(fmt.Sprintf("%s.%d.", id, timestamp)), body...)
				want := "x v1," + base64.StdEncoding.EncodeToString(once(key.secret, text))
				if got := key.AppendSignature([]byte("x "), id, timestamp, body); string(got) != want {
					t.Errorf("%s, want %s", got, want)
				}
				want = "sha256=" + hex.EncodeToString(once([]byte(key.Text()), body))
				if got := StyleGitHub.Sign([]SigningKey{key}, timestamp, body); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
	all.Wait()
}
