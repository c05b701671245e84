package backup

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// credentials sign requests.
type credentials struct {
	id, secret, token string // token: of a temporary session, may be empty
}

const (
	signTime  = "20060102T150405Z"
	signDay   = "20060102"
	signature = "AWS4-HMAC-SHA256"
)

// sign signs a request with Signature Version 4 of AWS. The URL must be encoded as escapePath and
// escapeQuery do.
func (c *credentials) sign(r *http.Request, region string, body []byte, now time.Time) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	at := now.UTC().Format(signTime)
	r.Header.Set("X-Amz-Date", at)
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if c.token != "" {
		r.Header.Set("X-Amz-Security-Token", c.token)
	}
	names := []string{"host"}
	for name := range r.Header {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n" + r.URL.RawQuery + "\n")
	for _, name := range names {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.URL.Host
		}
		canonical.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical.WriteString("\n" + signed + "\n" + hash)
	of := sha256.Sum256([]byte(canonical.String()))
	scope := at[:len(signDay)] + "/" + region + "/s3/aws4_request"
	text := signature + "\n" + at + "\n" + scope + "\n" + hex.EncodeToString(of[:])
	key := []byte("AWS4" + c.secret)
	for _, part := range []string{at[:len(signDay)], region, "s3", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part)) // never fails
		key = mac.Sum(nil)
	}
	r.Header.Set("Authorization", signature+" Credential="+c.id+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(key))
}

// escape percent-encodes all characters except those that a signature requires as they are, and
// those in besides.
func escape(text, besides string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-._~"+besides, b) >= 0:
			out.WriteByte(b)
		default:
			const digits = "0123456789ABCDEF"
			out.Write([]byte{'%', digits[b>>4], digits[b&15]})
		}
	}
	return out.String()
}

func escapePath(path string) string { return escape(path, "/") }

func escapeQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, escape(name, "")+"="+escape(value, ""))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}
