package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// SignatureStyle is how else than after Standard Webhooks a request is signed, for receivers that were written for another
// sender. The headers of Standard Webhooks come along in any case.
type SignatureStyle string

// The styles. All are HMAC-SHA256 in hexadecimal, keyed with the text of the secret as the API shows it, whsec_ included.
const (
	StyleStandard SignatureStyle = ""
	StyleGitHub   SignatureStyle = "github" // X-Hub-Signature-256: sha256=…, over the body
	StyleStripe   SignatureStyle = "stripe" // Stripe-Signature: t=…,v1=…, over "timestamp.body"
	StyleHex      SignatureStyle = "hex"    // X-Webhook-Signature: …, over the body
)

// SigningKey is a key with which requests are signed: symmetric (whsec_, scheme v1) or asymmetric (whsk_, scheme v1a) of Standard
// Webhooks 1.0.0. It never shows itself in a log.
type SigningKey struct {
	secret  Secret
	private ed25519.PrivateKey
}

const (
	privatePrefix       = "whsk_"
	publicPrefix        = "whpk_"
	asymmetricSignature = "v1a,"
)

// SymmetricKey is a SigningKey of 24 to 75 bytes.
func SymmetricKey(secret Secret) SigningKey { return SigningKey{secret: secret} }

// AsymmetricKey is a SigningKey of the 32 bytes of an ed25519 seed.
func AsymmetricKey(seed []byte) SigningKey {
	return SigningKey{private: ed25519.NewKeyFromSeed(seed)}
}

// ParseSigningKey reads whsec_ and 24 to 75 bytes in base64, or whsk_ and the 64 bytes of an ed25519 key. The error does not
// repeat them.
func ParseSigningKey(text string) (SigningKey, error) {
	encoded, asymmetric := strings.CutPrefix(text, privatePrefix)
	if !asymmetric {
		secret, err := ParseSecret(text)
		return SigningKey{secret: secret}, err
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != ed25519.PrivateKeySize || base64.StdEncoding.EncodeToString(key) != encoded {
		return SigningKey{}, Invalid("secret", "must be the 64 bytes of an ed25519 key in base64 after "+privatePrefix)
	}
	if private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]); !private.Equal(ed25519.PrivateKey(key)) {
		return SigningKey{}, Invalid("secret", "is no ed25519 key: its public half does not belong to its private one")
	}
	return SigningKey{private: key}, nil
}

// Text is the key as ParseSigningKey reads it.
func (k SigningKey) Text() string {
	if k.private != nil {
		return privatePrefix + base64.StdEncoding.EncodeToString(k.private)
	}
	return k.secret.Text()
}

// PublicText is what the receiver verifies with: the secret itself, or the public half.
func (k SigningKey) PublicText() string {
	if k.private != nil {
		return publicPrefix + base64.StdEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
	}
	return k.secret.Text()
}

// Asymmetric tells which kind of key it is.
func (k SigningKey) Asymmetric() bool { return k.private != nil }

// AppendSignature appends the version and the signature of a request in base64; timestamp is in seconds since the Unix epoch.
func (k SigningKey) AppendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	if k.private == nil {
		return k.secret.AppendSignature(dst, id, timestamp, body)
	}
	return base64.StdEncoding.AppendEncode(append(dst, asymmetricSignature...), ed25519.Sign(k.private, signedText(id, timestamp, body)))
}

// signedText is "id.timestamp.body".
func signedText(id string, timestamp int64, body []byte) []byte {
	text := make([]byte, 0, len(id)+len(body)+32)
	text = append(append(text, id...), '.')
	text = append(strconv.AppendInt(text, timestamp, 10), '.')
	return append(text, body...)
}

// Secret is a symmetric key as raw bytes; nil for an asymmetric one.
func (k SigningKey) Secret() Secret { return k.secret }

// Format hides it from every verb.
func (k SigningKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "…") }

// LogValue hides it from slog.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue("…") }
