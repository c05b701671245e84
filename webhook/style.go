package webhook

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header returns the name of the style's header; empty for StyleStandard.
func (s SignatureStyle) Header() string {
	switch s {
	case StyleGitHub:
		return "X-Hub-Signature-256"
	case StyleStripe:
		return "Stripe-Signature"
	case StyleHex:
		return "X-Webhook-Signature"
	default:
		return ""
	}
}

const githubPrefix = "sha256="

// Sign returns the value of the style's header; timestamp is in seconds since the Unix epoch. The
// keys must include at least one symmetric key, the current one first: only Stripe's header has
// room for the signatures of older keys.
func (s SignatureStyle) Sign(keys []SigningKey, timestamp int64, body []byte) string {
	return string(s.AppendSignature(nil, keys, timestamp, body))
}

// AppendSignature appends what Sign returns.
func (s SignatureStyle) AppendSignature(dst []byte, keys []SigningKey, timestamp int64, body []byte) []byte {
	switch s {
	case StyleGitHub:
		return keys[0].texts.appendHex(append(dst, githubPrefix...), body)
	case StyleStripe:
		dst = strconv.AppendInt(append(dst, "t="...), timestamp, 10)
		for _, key := range keys {
			dst = key.texts.appendHexTimed(append(dst, ",v1="...), timestamp, body)
		}
		return dst
	case StyleHex:
		return keys[0].texts.appendHex(dst, body)
	default:
		return dst
	}
}

// Verify checks a request as a receiver of that style does; header is the value of the style's
// header. Its errors say exactly what is wrong.
func (s SignatureStyle) Verify(key VerifyKey, header string, body []byte, now time.Time, tolerance time.Duration) error {
	if header == "" {
		return fmt.Errorf("the header %s is missing", strings.ToLower(s.Header()))
	}
	if err := key.Fits(s); err != nil {
		return err
	}
	switch s {
	case StyleGitHub:
		signature, ok := strings.CutPrefix(header, githubPrefix)
		if !ok {
			return errors.New("the header x-hub-signature-256 does not begin with " + githubPrefix)
		}
		return compareHex(signature, key.signing().texts.appendHex(nil, body))
	case StyleStripe:
		return verifyStripe(key.signing(), header, body, now, tolerance)
	case StyleHex:
		return compareHex(header, key.signing().texts.appendHex(nil, body))
	default:
		return fmt.Errorf("the style %q has no header of its own", s)
	}
}

func verifyStripe(key SigningKey, header string, body []byte, now time.Time, tolerance time.Duration) error {
	var timestamp string
	var signatures []string
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			timestamp = value
		case "v1":
			signatures = append(signatures, value)
		}
	}
	if timestamp == "" || len(signatures) == 0 {
		return errors.New("the header stripe-signature holds no t= or no v1=")
	}
	seconds, err := checkTimestamp("t= in the header stripe-signature", timestamp, now, tolerance)
	if err != nil {
		return err
	}
	expected := key.texts.appendHexTimed(nil, seconds, body)
	for _, signature := range signatures {
		if err = compareHex(signature, expected); err == nil {
			return nil
		}
	}
	return err
}

func compareHex(got string, expected []byte) error {
	if hmac.Equal([]byte(strings.ToLower(got)), expected) {
		return nil
	}
	return errNoMatch
}
