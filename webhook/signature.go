package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Signatures are those of Standard Webhooks 1.0.0, scheme v1: HMAC-SHA256 over "id.timestamp.body".

const (
	secretPrefix    = "whsec_"
	signaturePrefix = "v1,"
	minSecret       = 24 // bytes
	maxSecret       = 75
)

// Secret is the key that an endpoint and we share, as raw bytes. It never shows itself in a log.
type Secret []byte

// ParseSecret reads whsec_ and 24 to 75 bytes in base64. The error does not repeat them.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, Invalid("secret", "must begin with "+secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	// Decoding forgives line breaks and stray bits at the end, which a receiver may not, so it must
	// also encode back.
	if err != nil || base64.StdEncoding.EncodeToString(key) != encoded {
		return nil, Invalid("secret", "must be base64 after "+secretPrefix+", padded with = and without spaces or line breaks")
	}
	if err := Secret(key).Validate(); err != nil {
		return nil, err
	}
	return key, nil
}

// Text is the secret as the API writes it, whsec_ and base64.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// Validate checks the length.
func (s Secret) Validate() error {
	if len(s) < minSecret || len(s) > maxSecret {
		return Invalid("secret", fmt.Sprintf("must have %d to %d bytes before base64, not %d", minSecret, maxSecret, len(s)))
	}
	return nil
}

// String, GoString and LogValue hide it.
func (s Secret) String() string { return secretPrefix + "…" }

// GoString hides it from %#v.
func (s Secret) GoString() string { return s.String() }

// Format hides it from every other verb, such as %x.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, secretPrefix+"…") }

// LogValue hides it from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// AppendSignature appends v1, and the signature of a request in base64; timestamp is in seconds
// since the Unix epoch.
func (s Secret) AppendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	mac := hmac.New(sha256.New, s)
	head := make([]byte, 0, 64)
	head = append(head, id...)
	head = append(head, '.')
	head = strconv.AppendInt(head, timestamp, 10)
	mac.Write(append(head, '.'))
	mac.Write(body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(append(dst, signaturePrefix...), mac.Sum(sum[:0]))
}

// Verify checks a request as a receiver does, and says exactly what does not fit. The first three
// strings are the headers webhook-id, webhook-timestamp and webhook-signature; one signature by one
// of the secrets is enough.
func Verify(secrets []Secret, id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	seconds, err := checkHeaders(id, timestamp, signatures, now, tolerance)
	if err != nil {
		return err
	}
	return verifySignatures(secrets, id, seconds, signatures, body)
}

// checkHeaders gives back the timestamp.
func checkHeaders(id, timestamp, signatures string, now time.Time, tolerance time.Duration) (int64, error) {
	switch {
	case id == "":
		return 0, errors.New("the header webhook-id is missing")
	case timestamp == "":
		return 0, errors.New("the header webhook-timestamp is missing")
	case signatures == "":
		return 0, errors.New("the header webhook-signature is missing")
	}
	return checkTimestamp("the header webhook-timestamp", timestamp, now, tolerance)
}

// leastMillis is the smallest timestamp taken for milliseconds: in seconds it is the year 5138, in
// milliseconds 1973.
const leastMillis = 100_000_000_000

// checkTimestamp reads seconds since the Unix epoch that are not too far from now.
func checkTimestamp(what, text string, now time.Time, tolerance time.Duration) (int64, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number of seconds: %.40q", what, text)
	}
	switch age := now.Sub(time.Unix(seconds, 0)); { // at most 292 years: Sub saturates
	case age > tolerance:
		return 0, fmt.Errorf("the timestamp is %s old, more than the %s allowed", age.Round(time.Millisecond), tolerance)
	case age < -tolerance && seconds > leastMillis:
		return 0, fmt.Errorf("%s is %d: that looks like milliseconds, but it counts seconds", what, seconds)
	case age < -tolerance:
		return 0, fmt.Errorf("the timestamp is %s in the future, more than the %s allowed: is this clock right?",
			age.Abs().Round(time.Millisecond), tolerance)
	}
	return seconds, nil
}

var errNoMatch = errors.New("no signature matches: the secret is another one, or the body or the headers were changed on the way")

func verifySignatures(secrets []Secret, id string, seconds int64, signatures string, body []byte) error {
	if !strings.Contains(" "+signatures, " "+signaturePrefix) {
		return errors.New("the header webhook-signature holds no signature of version v1")
	}
	if len(secrets) == 0 {
		return errors.New("there is no secret to verify with")
	}
	for _, secret := range secrets {
		if err := secret.Validate(); err != nil { // an empty one would let anybody sign
			return err
		}
		// The body is hashed once a secret, not once a signature: a stranger chooses how many of
		// those there are.
		expected := secret.AppendSignature(nil, id, seconds, body)
		for signature := range strings.SplitSeq(signatures, " ") {
			if hmac.Equal([]byte(signature), expected) {
				return nil
			}
		}
	}
	return errNoMatch
}
