package webhook

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SignatureStyle is a further way to sign requests, for receivers that were written for another
// sender. The headers of Standard Webhooks are always sent as well.
type SignatureStyle string

// The styles. All but the standard one are HMAC-SHA256 in hexadecimal, keyed with the text of the
// secret as the API shows it, whsec_ included.
const (
	StyleStandard SignatureStyle = ""
	StyleGitHub   SignatureStyle = "github" // X-Hub-Signature-256: sha256=…, over the body
	StyleStripe   SignatureStyle = "stripe" // Stripe-Signature: t=…,v1=…, over "timestamp.body"
	StyleHex      SignatureStyle = "hex"    // X-Webhook-Signature: …, over the body
)

// SigningKey is a key that signs requests: symmetric (whsec_, scheme v1) or asymmetric (whsk_,
// scheme v1a) of Standard Webhooks 1.0.0, or the plain text that a receiver written for another
// sender already has. It never appears in a log.
type SigningKey struct {
	secret  Secret
	plain   bool // secret is the text itself
	private ed25519.PrivateKey

	secrets *mac // under the secret; nil: the key is asymmetric
	texts   *mac // under Text, for styles; nil: the key is asymmetric
}

const (
	privatePrefix       = "whsk_"
	publicPrefix        = "whpk_"
	asymmetricSignature = "v1a,"

	minPlain = 16 // bytes of a plain text
	maxPlain = 512
)

// SymmetricKey returns a SigningKey of 24 to 75 bytes.
func SymmetricKey(secret Secret) SigningKey { return symmetricKey(secret, false) }

func symmetricKey(secret Secret, plain bool) SigningKey {
	k := SigningKey{secret: secret, plain: plain, secrets: &mac{key: secret}}
	k.texts = &mac{key: []byte(k.Text())}
	return k
}

// AsymmetricKey returns the SigningKey of a 32-byte ed25519 seed.
func AsymmetricKey(seed []byte) SigningKey {
	return SigningKey{private: ed25519.NewKeyFromSeed(seed)}
}

// ParseSigningKey parses whsec_ and 24 to 75 bytes in base64, whsk_ and the 64 bytes of an ed25519
// key, or a plain text of 16 to 512 bytes. The error does not repeat them.
func ParseSigningKey(text string) (SigningKey, error) {
	encoded, asymmetric := strings.CutPrefix(text, privatePrefix)
	switch {
	case asymmetric:
	case strings.HasPrefix(text, secretPrefix):
		secret, err := ParseSecret(text)
		if err != nil {
			return SigningKey{}, err
		}
		return SymmetricKey(secret), nil
	default:
		return parsePlainKey(text)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) != ed25519.PrivateKeySize || base64.StdEncoding.EncodeToString(key) != encoded {
		return SigningKey{}, Invalid("secret", "must be the 64 bytes of an ed25519 key in base64 after "+privatePrefix)
	}
	if private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize]); !private.Equal(ed25519.PrivateKey(key)) {
		return SigningKey{}, Invalid("secret", "is not a valid ed25519 key: its public half does not match its private half")
	}
	return SigningKey{private: key}, nil
}

func parsePlainKey(text string) (SigningKey, error) {
	switch {
	case strings.HasPrefix(text, publicPrefix):
		return SigningKey{}, Invalid("secret", "is a public key, which cannot sign: give the private one, "+privatePrefix+"…")
	case len(text) < minPlain || len(text) > maxPlain:
		return SigningKey{}, Invalid("secret", fmt.Sprintf("must begin with %s or, with the signatureStyle github, stripe or hex, be any text of %d to %d bytes",
			secretPrefix, minPlain, maxPlain))
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return SigningKey{}, Invalid("secret", "must be UTF-8 without control characters")
	}
	return symmetricKey(Secret(text), true), nil
}

// Fits checks that a style can sign with the key: Standard Webhooks does not allow plain text.
func (k SigningKey) Fits(style SignatureStyle) error {
	if k.plain && style == StyleStandard {
		return Invalid("secret", "must begin with "+secretPrefix+"; any other text needs the signatureStyle github, stripe or hex")
	}
	return nil
}

// Text returns the key in the form that ParseSigningKey parses.
func (k SigningKey) Text() string {
	if k.plain {
		return string(k.secret)
	}
	if k.private != nil {
		return privatePrefix + base64.StdEncoding.EncodeToString(k.private)
	}
	return k.secret.Text()
}

// PublicText returns what the receiver verifies with: the secret itself, or the public half.
func (k SigningKey) PublicText() string {
	if k.private != nil {
		return publicPrefix + base64.StdEncoding.EncodeToString(k.private.Public().(ed25519.PublicKey))
	}
	return k.Text()
}

// IsAsymmetric reports whether the key is asymmetric.
func (k SigningKey) IsAsymmetric() bool { return k.private != nil }

// AppendSignature appends the version and the signature of a request in base64; timestamp is in
// seconds since the Unix epoch.
func (k SigningKey) AppendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	if k.private == nil {
		return k.secrets.appendSignature(dst, id, timestamp, body)
	}
	return base64.StdEncoding.AppendEncode(append(dst, asymmetricSignature...), ed25519.Sign(k.private, signedText(id, timestamp, body)))
}

// signedText returns "id.timestamp.body".
func signedText(id string, timestamp int64, body []byte) []byte {
	text := make([]byte, 0, len(id)+len(body)+32)
	text = append(append(text, id...), '.')
	text = append(strconv.AppendInt(text, timestamp, 10), '.')
	return append(text, body...)
}

// Format hides the key from every verb.
func (k SigningKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, "…") }

// LogValue hides the key from slog.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue("…") }
