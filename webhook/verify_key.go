package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// VerifyKey is what a receiver verifies requests with: a shared secret (scheme v1 or another
// style), or the public half of an ed25519 key (v1a).
type VerifyKey struct {
	shared SigningKey
	public ed25519.PublicKey // nil: the key is shared
}

// ParseVerifyKey parses whsec_ and 24 to 75 bytes in base64, plain text of another style, whpk_ and
// the 32 bytes of a public key, or a private key (whsk_), whose public half it uses. The
// error does not repeat them.
func ParseVerifyKey(text string) (VerifyKey, error) {
	encoded, ok := strings.CutPrefix(text, publicPrefix)
	if !ok {
		key, err := ParseSigningKey(text)
		if err != nil || !key.IsAsymmetric() {
			return VerifyKey{shared: key}, err
		}
		return VerifyKey{public: key.private.Public().(ed25519.PublicKey)}, nil
	}
	public, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(public) != ed25519.PublicKeySize || base64.StdEncoding.EncodeToString(public) != encoded {
		return VerifyKey{}, Invalid("secret", "must be the 32 bytes of an ed25519 public key in base64 after "+publicPrefix)
	}
	return VerifyKey{public: public}, nil
}

// Fits checks that requests of a style can be verified with the key.
func (k VerifyKey) Fits(style SignatureStyle) error {
	if k.public != nil && style != StyleStandard {
		return Invalid("secret", "must be shared with the sender: this is a public key")
	}
	return k.shared.Fits(style)
}

// signing returns the key that signs the requests of other styles.
func (k VerifyKey) signing() SigningKey { return k.shared }

// Verify checks a request as the function Verify does.
func (k VerifyKey) Verify(id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	if k.public == nil {
		return Verify([]Secret{k.shared.secret}, id, timestamp, signatures, body, now, tolerance)
	}
	seconds, err := checkHeaders(id, timestamp, signatures, now, tolerance)
	if err != nil {
		return err
	}
	text := signedText(id, seconds, body)
	found := false
	for signature := range strings.SplitSeq(signatures, " ") {
		encoded, ok := strings.CutPrefix(signature, asymmetricSignature)
		if !ok {
			continue
		}
		found = true
		bytes, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && ed25519.Verify(k.public, text, bytes) {
			return nil
		}
	}
	if !found {
		return errors.New("the header webhook-signature holds no signature of version v1a, which belongs to a public key")
	}
	return errNoMatch
}

// Format hides the key from every verb.
func (k VerifyKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "…") }

// LogValue hides the key from slog.
func (k VerifyKey) LogValue() slog.Value { return slog.StringValue("…") }
