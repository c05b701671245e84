package backup

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// S3 says how a bucket is reached. Empty fields are taken from the variables that other tools
// read.
type S3 struct {
	Endpoint        string // URL of the server; else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or that of AWS
	Region          string // else AWS_REGION or AWS_DEFAULT_REGION
	PathStyle       bool   // the bucket is in the path, not in the name of the host
	CA              string // file with certificates of authorities to trust, besides those of the system
	AccessKeyID     string // else AWS_ACCESS_KEY_ID, with the next two
	SecretAccessKey string // else AWS_SECRET_ACCESS_KEY; secret
	SessionToken    string // else AWS_SESSION_TOKEN; secret
}

const (
	s3Tries     = 5                      // of each request
	s3Pause     = 500 * time.Millisecond // before the second one; it doubles
	maxPause    = 30 * time.Second
	s3Timeout   = time.Minute // of a request, without the time for its body
	s3Rate      = 128 << 10   // bytes per second that a body must be sent at, at least
	maxResponse = 8 << 20     // bytes of a response that is not a backup
	maxQuoted   = 300         // characters of what a server says that are logged
	maxObjects  = 100_000     // in a listing
)

// bucket is a target in object storage. It has its own client, as it needs only nine requests of
// S3, and an SDK would make the program much larger.
type bucket struct {
	http        *http.Client
	endpoint    *url.URL
	name        string
	prefix      string // with a slash at its end, or empty
	region      string
	credentials credentials
	pause       time.Duration
	part        int64 // bytes of a part, at least
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

func openBucket(at Location, o S3) (*bucket, error) {
	b := &bucket{name: at.Bucket, pause: s3Pause, part: minPart}
	if at.Path != "" {
		b.prefix = at.Path + "/"
	}
	b.region = firstOf(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), "us-east-1")
	b.credentials = credentials{o.AccessKeyID, o.SecretAccessKey, o.SessionToken}
	if o.AccessKeyID == "" && o.SecretAccessKey == "" {
		b.credentials = credentials{os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")}
	}
	if b.credentials.id == "" || b.credentials.secret == "" {
		return nil, errors.New("the credentials for S3 are missing or incomplete: set access_key_id and secret_access_key in the block backup.s3, " +
			"or the environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	text := firstOf(o.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"), "https://s3."+b.region+".amazonaws.com")
	endpoint, err := ParseEndpoint(text)
	if err != nil {
		return nil, fmt.Errorf("the endpoint of S3 %w", err)
	}
	b.endpoint, _ = url.Parse(endpoint) // ParseEndpoint has parsed it
	if o.PathStyle {
		b.endpoint.Path = "/" + b.name
	} else {
		b.endpoint.Host = b.name + "." + b.endpoint.Host
	}
	trusted, err := trustedCA(o.CA)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true,
	}
	b.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b, nil
}

// ParseEndpoint checks the URL of a server.
func ParseEndpoint(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New(`must be the URL of a server, such as "https://s3.example.com", without a path`)
	}
	return u.Scheme + "://" + u.Host, nil
}

// trustedCA returns the authorities of the system and those in a file; nil: those of the system.
func trustedCA(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	trusted, err := x509.SystemCertPool()
	if err != nil {
		trusted = x509.NewCertPool()
	}
	if !trusted.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate of an authority in PEM form", file)
	}
	return trusted, nil
}

var errNotS3 = errors.New("the response is not that of S3; check the endpoint")

// call is a request to the bucket.
type call struct {
	method string
	key    string // without the prefix; empty: the bucket itself
	query  url.Values
	header http.Header
	body   []byte
	result any           // is decoded from the XML of the response; may be nil
	longer time.Duration // than the usual timeout
}

// do makes a request, again if it fails for a reason that may pass.
func (b *bucket) do(ctx context.Context, c call) (http.Header, error) {
	for try := 1; ; try++ {
		header, err := b.once(ctx, c)
		if err == nil || ctx.Err() != nil || try == s3Tries || !isTransient(err) {
			return header, b.explain(c, err)
		}
		if err := b.wait(ctx, try, err); err != nil {
			return nil, b.explain(c, err)
		}
	}
}

// wait waits before another try, longer each time.
func (b *bucket) wait(ctx context.Context, try int, failed error) error {
	pause := min(b.pause<<(try-1), maxPause)
	pause = pause/2 + rand.N(pause/2+1)
	var response *s3Error
	if errors.As(failed, &response) {
		pause = max(pause, min(response.after, maxPause))
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// once makes a request and reads the response.
func (b *bucket) once(ctx context.Context, c call) (http.Header, error) {
	timeout := s3Timeout + c.longer + time.Duration(len(c.body)/s3Rate)*time.Second
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	response, err := b.send(ctx, c)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxResponse:
		return nil, fmt.Errorf("the response has more than %d MiB", maxResponse>>20)
	case c.result == nil:
		return response.Header, nil
	}
	var failed s3Error // with status 200, which was sent before the outcome was known
	if xml.Unmarshal(text, &failed) == nil && failed.Code != "" {
		failed.status = http.StatusInternalServerError
		return nil, &failed
	}
	if err := xml.Unmarshal(text, c.result); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotS3, err)
	}
	return response.Header, nil
}

// send makes a request and returns the response if it is a success.
func (b *bucket) send(ctx context.Context, c call) (*http.Response, error) {
	target := *b.endpoint
	target.Path += "/"
	if c.key != "" {
		target.Path += b.prefix + c.key
	}
	target.RawPath, target.RawQuery = escapePath(target.Path), escapeQuery(c.query)
	request, err := http.NewRequestWithContext(ctx, c.method, target.String(), bytes.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	request.URL.RawPath = target.RawPath
	for name, values := range c.header {
		request.Header[name] = values
	}
	b.credentials.sign(request, b.region, c.body, time.Now())
	response, err := b.http.Do(request)
	if err != nil {
		var repeats *url.Error
		if errors.As(err, &repeats) {
			err = repeats.Err
		}
		return nil, err
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, readError(response)
}

// s3Error is the response to a request that failed.
type s3Error struct {
	XMLName xml.Name `xml:"Error"`
	Code    string
	Message string
	Region  string // that the bucket is in
	status  int
	after   time.Duration
}

func readError(response *http.Response) *s3Error {
	e := new(s3Error)
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil {
		_ = xml.Unmarshal(text, e) // some have no body, or one of a proxy
	}
	e.status = response.StatusCode
	e.Code = firstOf(e.Code, http.StatusText(e.status))
	e.Region = firstOf(e.Region, response.Header.Get("X-Amz-Bucket-Region"))
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		e.after = time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	return e
}

func (e *s3Error) Error() string {
	text := fmt.Sprintf("%d %.*s", e.status, maxQuoted, e.Code)
	if e.Message != "" {
		text += fmt.Sprintf(": %.*s", maxQuoted, strings.TrimSuffix(e.Message, "."))
	}
	return text
}

// advice says what to do about some errors.
func (b *bucket) advice(e *s3Error) string {
	switch e.Code {
	case "NoSuchBucket":
		return "create the bucket " + b.name + ", or correct its name"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken":
		return "check access_key_id and secret_access_key, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
	case "RequestTimeTooSkewed":
		return "set the clock of this machine: it differs too much from that of the server"
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException", "Moved Permanently":
		if e.Region != "" {
			return "the bucket is in the region " + e.Region + ": set that in the block backup.s3, or AWS_REGION"
		}
		return "set the region and the endpoint of the bucket in the block backup.s3"
	case "AccessDenied", "Forbidden":
		return "allow s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload in this bucket"
	}
	return ""
}

// explain adds to an error what failed and what to do about it.
func (b *bucket) explain(c call, err error) error {
	if err == nil {
		return nil
	}
	what := "s3://" + b.name
	if c.key != "" {
		what += "/" + b.prefix + c.key
	}
	var response *s3Error
	if errors.As(err, &response) {
		if advice := b.advice(response); advice != "" {
			return fmt.Errorf("%s %s at %s: %w; %s", c.method, what, b.endpoint.Host, err, advice)
		}
	}
	return fmt.Errorf("%s %s at %s: %w", c.method, what, b.endpoint.Host, err)
}

// isTransient reports whether an error may be gone when the request is repeated.
func isTransient(err error) bool {
	var response *s3Error
	if errors.As(err, &response) {
		switch response.Code {
		case "RequestTimeout", "SlowDown", "OperationAborted", "TooManyRequests":
			return true
		case "NotImplemented", "Not Implemented", "Insufficient Storage":
			return false
		}
		return response.status >= 500 || response.status == http.StatusTooManyRequests || response.status == http.StatusRequestTimeout
	}
	var untrusted *tls.CertificateVerificationError
	return !errors.As(err, &untrusted)
}

func hasCode(err error, codes ...string) bool {
	var response *s3Error
	if !errors.As(err, &response) {
		return false
	}
	for _, code := range codes {
		if response.Code == code {
			return true
		}
	}
	return false
}
