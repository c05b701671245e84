package webhook

import (
	"crypto/hmac"
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

// Secret is the key that Hookwheel shares with an endpoint, as raw bytes. It never appears in a
// log.
type Secret []byte

// ParseSecret parses whsec_ and 24 to 75 bytes in base64. The error does not repeat them.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return nil, Invalid("secret", "must begin with "+secretPrefix)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	// Decoding accepts line breaks and stray bits at the end, which a receiver may reject, so the
	// key must also encode to the same text.
	if err != nil || base64.StdEncoding.EncodeToString(key) != encoded {
		return nil, Invalid("secret", "must be base64 after "+secretPrefix+", padded with = and without spaces or line breaks")
	}
	if err := Secret(key).Validate(); err != nil {
		return nil, err
	}
	return key, nil
}

// Text returns the secret as the API writes it, whsec_ and base64.
func (s Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s) }

// Validate checks the length.
func (s Secret) Validate() error {
	if len(s) < minSecret || len(s) > maxSecret {
		return Invalid("secret", fmt.Sprintf("must have %d to %d bytes before base64, not %d", minSecret, maxSecret, len(s)))
	}
	return nil
}

// String hides the secret.
func (s Secret) String() string { return secretPrefix + "…" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// Format hides the secret from every other verb, such as %x.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, secretPrefix+"…") }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// AppendSignature appends v1 and the signature of a request in base64; timestamp is in seconds
// since the Unix epoch.
func (s Secret) AppendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	return (&mac{key: s}).appendSignature(dst, id, timestamp, body)
}

// Verify checks a request as a receiver does. Its errors say exactly what is wrong. The parameters
// id, timestamp and signatures are the headers webhook-id, webhook-timestamp and webhook-signature;
// one signature by one of the secrets is enough.
func Verify(secrets []Secret, id, timestamp, signatures string, body []byte, now time.Time, tolerance time.Duration) error {
	seconds, err := checkHeaders(id, timestamp, signatures, now, tolerance)
	if err != nil {
		return err
	}
	return verifySignatures(secrets, id, seconds, signatures, body)
}

// checkHeaders returns the timestamp.
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

// leastMillis is the smallest timestamp that counts as milliseconds: in seconds it is in the year
// 5138, in milliseconds in 1973.
const leastMillis = 100_000_000_000

// Errors show a timestamp as a date if it is as far from now as showsDate.
const (
	showsDate  = 24 * time.Hour
	dateLayout = "2006-01-02 15:04:05 UTC"
)

// checkTimestamp parses seconds since the Unix epoch, which must not be too far from now.
func checkTimestamp(what, text string, now time.Time, tolerance time.Duration) (int64, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a number of seconds: %.40q", what, text)
	}
	at := time.Unix(seconds, 0).UTC()
	switch age := now.Sub(at); { // at most 292 years: Sub saturates
	case age > tolerance && age >= showsDate:
		return 0, fmt.Errorf("the timestamp is %s, more than the %s allowed before now", at.Format(dateLayout), tolerance)
	case age > tolerance:
		return 0, fmt.Errorf("the timestamp is %s old, more than the %s allowed", age.Round(time.Millisecond), tolerance)
	case age < -tolerance && seconds > leastMillis:
		return 0, fmt.Errorf("%s is %d: that looks like milliseconds, but it counts seconds", what, seconds)
	case age < -tolerance && age <= -showsDate:
		return 0, fmt.Errorf("the timestamp is %s, more than the %s allowed after now: is this clock right?",
			at.Format(dateLayout), tolerance)
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
		return errors.New("no secret to verify with")
	}
	for _, secret := range secrets {
		if err := secret.Validate(); err != nil { // anybody could sign with an empty one
			return err
		}
		// The body is hashed once per secret, not per signature: the sender, who may be an
		// attacker, chooses the number of signatures.
		expected := secret.AppendSignature(nil, id, seconds, body)
		for signature := range strings.SplitSeq(signatures, " ") {
			if hmac.Equal([]byte(signature), expected) {
				return nil
			}
		}
	}
	return errNoMatch
}
