package backup

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/backup/s3test"
)

// cut closes the connection of a request.
func cut(t *testing.T, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

// fail responds as S3 does.
func fail(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>for a test</Message></Error>`)) // the client may be gone
}

// Errors that pass are not noticed, wherever they happen.
func TestTransientFaults(t *testing.T) {
	data := fakeBackup(testCluster, testTime, 2*testPart)
	for name, respond := range map[string]func(*testing.T, http.ResponseWriter, *http.Request){
		"503":            func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { fail(w, 503, "SlowDown") },
		"500":            func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { fail(w, 500, "InternalError") },
		"429":            func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { fail(w, 429, "TooManyRequests") },
		"proxy":          func(_ *testing.T, w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 502) },
		"connection cut": func(t *testing.T, w http.ResponseWriter, _ *http.Request) { cut(t, w) },
	} {
		t.Run(name, func(t *testing.T) {
			s := s3test.Start(t)
			r := onServer(t, s, testKey)
			var requests atomic.Int64
			s.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				if requests.Add(1)%2 == 0 { // each second one
					return false
				}
				respond(t, w, q)
				return true
			})
			made := save(t, r, Scheduled, data)
			if got, err := read(t, r, made); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if _, err := r.Prune(t.Context(), testCluster, Retention{Count: 1}, testTime); err != nil {
				t.Error(err)
			}
		})
	}
}

// The upload is complete, but the response that says so is lost.
func TestLostResponse(t *testing.T) {
	s := s3test.Start(t)
	r := onServer(t, s, "")
	direct := onServer(t, s, "")
	var lost atomic.Bool
	s.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method != "POST" || !q.URL.Query().Has("uploadId") || lost.Swap(true) {
			return false
		}
		s.Serve(httptest.NewRecorder(), q)
		cut(t, w)
		return true
	})
	data := fakeBackup(testCluster, testTime, 2*testPart)
	made := save(t, r, Scheduled, data)
	if got, err := read(t, direct, made); !lost.Load() || err != nil || !bytes.Equal(got, data) {
		t.Errorf("lost: %t; %d bytes, %v", lost.Load(), len(got), err)
	}
}

// A download whose connection breaks again and again continues where it was.
func TestDownloadContinues(t *testing.T) {
	s := s3test.Start(t)
	r := onServer(t, s, testKey)
	data := fakeBackup(testCluster, testTime, 2*testPart)
	made := save(t, r, Scheduled, data)
	var downloads atomic.Int64
	s.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method != "GET" || !strings.HasSuffix(q.URL.Path, nameSuffix) || downloads.Add(1) > 8 {
			return false
		}
		recorded := httptest.NewRecorder()
		s.Serve(recorded, q)
		for name, values := range recorded.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorded.Code)
		body := recorded.Body.Bytes()
		_, _ = w.Write(body[:len(body)/5]) // then the connection is cut, as some is missing
		return true
	})
	if got, err := read(t, r, made); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if n := downloads.Load(); n < 9 {
		t.Errorf("%d downloads", n)
	}
	s.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Header.Get("Range") != "" {
			fail(w, 412, "PreconditionFailed") // the object was replaced
			return true
		}
		if !strings.HasSuffix(q.URL.Path, nameSuffix) {
			return false
		}
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Content-Length", s.Size(t, q.URL.Path))
		_, _ = w.Write(make([]byte, 100))
		return true
	})
	if _, err := read(t, r, made); err == nil {
		t.Error("an object that was replaced in the middle was accepted")
	}
}

// After an error that does not pass, nothing is left, and the error says what to do.
func TestFinalFaults(t *testing.T) {
	data := fakeBackup(testCluster, testTime, 2*testPart)
	for name, test := range map[string]struct {
		status     int
		code       string
		when, want string
	}{
		"full":           {507, "Insufficient Storage", "partNumber=2", "507 Insufficient Storage"},
		"quota":          {403, "QuotaExceeded", "partNumber=1", "403 QuotaExceeded: for a test"},
		"always busy":    {503, "SlowDown", "partNumber=2", "503 SlowDown: for a test"},
		"not the end":    {403, "AccessDenied", "uploadId=", "allow s3:ListBucket"},
		"no beginning":   {403, "AccessDenied", "uploads=", "allow s3:ListBucket"},
		"no manifest":    {403, "AccessDenied", manifestSuffix, "allow s3:ListBucket"},
		"complete fails": {200, "InternalError", "POST complete", "InternalError: for a test"},
		"skewed clock":   {403, "RequestTimeTooSkewed", "uploads=", "set the clock of this machine"},
		"another region": {301, "PermanentRedirect", "uploads=", "set the region and the endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s3test.Start(t)
			r := onServer(t, s, testKey)
			s.Intercept(func(w http.ResponseWriter, q *http.Request) bool {
				text := q.URL.RequestURI()
				if q.Method == "POST" && strings.Contains(text, "uploadId=") {
					text += " POST complete"
				}
				if q.Method == "DELETE" || !strings.Contains(strings.Replace(text, " ", " ", 1), test.when) {
					return false
				}
				fail(w, test.status, test.code)
				return true
			})
			_, _, err := r.Save(t.Context(), Scheduled, bytes.NewReader(data), int64(len(data)), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			s.Intercept(nil)
			if got := list(t, r, ""); len(got) > 0 {
				t.Errorf("listed: %+v", got)
			}
			if left := leftovers(t, r); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Wrong settings give errors that say what is wrong.
func TestWrongSettings(t *testing.T) {
	s, secure := s3test.Start(t), s3test.StartTLS(t)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate()}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"right":          {func(*Options) {}, ""},
		"bucket":         {func(o *Options) { o.To.Bucket = "other-bucket" }, "create the bucket other-bucket, or correct its name"},
		"id":             {func(o *Options) { o.S3.AccessKeyID = "other" }, "check access_key_id and secret_access_key"},
		"secret":         {func(o *Options) { o.S3.SecretAccessKey = "other" }, "check access_key_id and secret_access_key"},
		"nobody listens": {func(o *Options) { o.S3.Endpoint = "http://" + nobody.Addr().String() }, "connection refused"},
		"not S3":         {func(o *Options) { o.S3.Endpoint = notS3(t) }, "the response is not that of S3"},
		"TLS":            {func(o *Options) { o.S3.Endpoint = secure.URL }, "certificate signed by unknown authority"},
		"TLS with a CA":  {func(o *Options) { o.S3.Endpoint, o.S3.CA = secure.URL, ca }, ""},
	} {
		o := Options{To: Location{s3test.Bucket, "p"}, S3: S3{Endpoint: s.URL, PathStyle: true, AccessKeyID: s3test.ID, SecretAccessKey: s3test.Secret}}
		test.change(&o)
		r, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		r.target.(*bucket).pause = time.Millisecond
		_, err = r.List(t.Context(), "")
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), s3test.Secret) {
			t.Errorf("%s: the error has the secret: %v", name, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if _, err := Open(Options{To: Location{s3test.Bucket, ""}}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("without credentials: %v", err)
	}
	if _, err := Open(Options{To: Location{Path: "/x"}, Key: "short"}); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("with a short key: %v", err)
	}
}

func notS3(t *testing.T) string {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><title>welcome</title>")) // the client reads it
	}))
	t.Cleanup(page.Close)
	return page.URL
}

// Credentials and the endpoint can come from the variables of other tools, and a bucket can be
// part of the host.
func TestVariablesOfAWS(t *testing.T) {
	s := s3test.Start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.ID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	t.Setenv("AWS_REGION", "eu-central-1")
	r, err := Open(Options{To: Location{s3test.Bucket, ""}, S3: S3{PathStyle: true}})
	if err != nil {
		t.Fatal(err)
	}
	made := save(t, r, Manual, fakeBackup(testCluster, testTime, 100))
	if got := list(t, r, ""); len(got) != 1 || got[0] != made {
		t.Errorf("%+v", got)
	}
	t.Setenv("AWS_ENDPOINT_URL", "")
	if r, err = Open(Options{To: Location{s3test.Bucket, ""}}); err != nil {
		t.Fatal(err)
	}
	if host := r.target.(*bucket).endpoint.Host; host != s3test.Bucket+".s3.eu-central-1.amazonaws.com" {
		t.Errorf("the host is %s", host)
	}
}

// When the context ends, an upload ends and leaves nothing.
func TestSaveCanceled(t *testing.T) {
	s := s3test.Start(t)
	r := onServer(t, s, testKey)
	ctx, cancel := context.WithCancel(t.Context())
	s.Intercept(func(_ http.ResponseWriter, q *http.Request) bool {
		if strings.Contains(q.URL.RawQuery, "partNumber=2") {
			cancel()
		}
		return false
	})
	data := fakeBackup(testCluster, testTime, 3*testPart)
	if _, _, err := r.Save(ctx, Scheduled, bytes.NewReader(data), int64(len(data)), nil); err == nil {
		t.Error("no error")
	}
	if left := leftovers(t, r); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A folder that is missing, full or read-only.
func TestFolderFaults(t *testing.T) {
	data := fakeBackup(testCluster, testTime, 100)
	missing := filepath.Join(t.TempDir(), "not-mounted")
	r, err := Open(Options{To: Location{Path: missing}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Save(t.Context(), Manual, bytes.NewReader(data), int64(len(data)), nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the folder was created")
	}
	if _, err := r.List(t.Context(), ""); err == nil {
		t.Error("a missing folder was listed")
	}
	full := folder{t.TempDir()}
	if err := full.put(t.Context(), testCluster+"/x", strings.NewReader("x"), 1<<55); err == nil || !strings.Contains(err.Error(), "MiB free") {
		t.Errorf("full: %v", err)
	}
}

// Other folders beside those of clusters are not read, as they may not be readable.
func TestFolderIgnoresOthers(t *testing.T) {
	f := folder{t.TempDir()}
	for _, name := range []string{"lost+found", testCluster, testCluster + "0"} {
		if err := os.Mkdir(filepath.Join(f.path, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(f.path, name, "x"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.list(t.Context(), ""); err != nil || len(got) != 1 || got[0].key != testCluster+"/x" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A backup of unknown size, as a proxy passes one on, is not stored.
func TestSaveUnknownSize(t *testing.T) {
	for _, key := range []string{"", testKey} {
		eachTarget(t, key, func(t *testing.T, r *Repository) {
			if _, _, err := r.Save(t.Context(), Manual, bytes.NewReader(fakeBackup(testCluster, testTime, 100)), -1, nil); err == nil || !strings.Contains(err.Error(), "size of the backup is unknown") {
				t.Errorf("%v", err)
			}
			if left := append(leftovers(t, r), keysOf(list(t, r, ""))...); len(left) > 0 {
				t.Errorf("stored: %v", left)
			}
		})
	}
}

func keysOf(backups []Backup) (keys []string) {
	for _, b := range backups {
		keys = append(keys, b.key())
	}
	return keys
}

// A server can't fill the log with what it says.
func TestLongMessage(t *testing.T) {
	s := s3test.Start(t)
	s.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte("<Error><Code>Forbidden</Code><Message>" + strings.Repeat("x", 50<<10) + "</Message></Error>"))
		return true
	})
	if _, err := onServer(t, s, "").List(t.Context(), ""); err == nil || len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(fmt.Sprint(err)))
	}
}
