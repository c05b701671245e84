package backup

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	minPart       = 8 << 20         // bytes of a part of an upload, of which one is in memory
	maxParts      = 10_000          // of S3
	maxObject     = 5 << 40         // bytes, of S3
	finishTimeout = 5 * time.Minute // for the server to put the parts together
	getStall      = 30 * time.Second
)

// partSize returns the size of the parts of an upload, larger ones if there would be too many.
func (b *bucket) partSize(size int64) int64 {
	return max(b.part, (size+maxParts-1)/maxParts)
}

// put uploads in parts. Each is repeated by itself if it fails; only when all of them are there
// does the object appear.
func (b *bucket) put(ctx context.Context, key string, content io.Reader, size int64) error {
	if size > maxObject {
		return fmt.Errorf("%s would have %d GiB, but an object may have at most %d", key, size>>30, int64(maxObject)>>30)
	}
	part := make([]byte, min(b.partSize(size), size+1)) // one more shows that the content has ended
	n, err := io.ReadFull(content, part)
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // not those that wrap another
		_, err := b.putBytes(ctx, key, nil, part[:n])
		return err
	case err != nil:
		return err
	}
	var begun struct{ UploadId string }
	if _, err := b.do(ctx, call{method: "POST", key: key, query: url.Values{"uploads": {""}}, result: &begun}); err != nil {
		return err
	}
	if begun.UploadId == "" {
		return errors.New("the server did not begin the upload: its response has no UploadId")
	}
	err = b.putParts(ctx, key, begun.UploadId, content, part)
	if err == nil {
		return nil
	}
	return errors.Join(err, withdraw(ctx, b, object{key: key, upload: begun.UploadId}))
}

// putBytes uploads an object or a part, with its MD5, which some servers demand, and returns its
// ETag.
func (b *bucket) putBytes(ctx context.Context, key string, query url.Values, body []byte) (string, error) {
	sum := md5.Sum(body)
	c := call{method: "PUT", key: key, query: query, body: body, header: http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}}}
	header, err := b.do(ctx, c)
	if err == nil && header.Get("ETag") == "" {
		err = b.explain(c, errNotS3)
	}
	return header.Get("ETag"), err
}

// donePart is a part as the last request of an upload names it.
type donePart struct {
	PartNumber int
	ETag       string
}

// putParts uploads part, then the rest of the content, and puts the parts together.
func (b *bucket) putParts(ctx context.Context, key, upload string, content io.Reader, part []byte) error {
	var parts []donePart
	for n := len(part); n > 0; {
		query := url.Values{"partNumber": {strconv.Itoa(len(parts) + 1)}, "uploadId": {upload}}
		etag, err := b.putBytes(ctx, key, query, part[:n])
		if err != nil {
			return err
		}
		parts = append(parts, donePart{len(parts) + 1, etag})
		n, err = io.ReadFull(content, part)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return err
		}
	}
	return b.finish(ctx, key, upload, parts)
}

// finish puts the parts together. A try whose response was lost may have succeeded; then the
// upload is gone, and the object is there.
func (b *bucket) finish(ctx context.Context, key, upload string, parts []donePart) error {
	body, err := xml.Marshal(struct {
		XMLName xml.Name   `xml:"CompleteMultipartUpload"`
		Part    []donePart `xml:"Part"`
	}{Part: parts})
	if err != nil {
		return err
	}
	var done struct{ Key string }
	c := call{method: "POST", key: key, query: url.Values{"uploadId": {upload}}, body: body, result: &done, longer: finishTimeout}
	_, err = b.do(ctx, c)
	if hasCode(err, "NoSuchUpload") {
		if found, listed := b.list(ctx, key); listed == nil && len(found) == 1 && found[0].key == key {
			return nil
		}
	}
	return err
}

// listing is a page of objects, or of uploads.
type listing struct {
	XMLName  xml.Name
	Contents []struct {
		Key          string
		Size         int64
		LastModified time.Time
	}
	NextContinuationToken string

	Upload []struct {
		Key       string
		UploadId  string
		Initiated time.Time
	}
	NextKeyMarker, NextUploadIdMarker string

	IsTruncated bool
}

func (b *bucket) list(ctx context.Context, prefix string) ([]object, error) {
	query := url.Values{"list-type": {"2"}, "prefix": {b.prefix + prefix}}
	return b.pages(ctx, query, func(page *listing) (list []object) {
		for _, o := range page.Contents {
			list = append(list, object{key: o.Key, size: o.Size, modified: o.LastModified})
		}
		query.Set("continuation-token", page.NextContinuationToken)
		return list
	})
}

func (b *bucket) unfinished(ctx context.Context, prefix string) ([]object, error) {
	query := url.Values{"uploads": {""}, "prefix": {b.prefix + prefix}}
	list, err := b.pages(ctx, query, func(page *listing) (list []object) {
		for _, u := range page.Upload {
			list = append(list, object{key: u.Key, modified: u.Initiated, upload: u.UploadId})
		}
		query.Set("key-marker", page.NextKeyMarker)
		query.Set("upload-id-marker", page.NextUploadIdMarker)
		return list
	})
	if hasCode(err, "NotImplemented", "NoSuchUpload") { // of servers that remove them themselves, or have none
		return nil, nil
	}
	return list, err
}

// pages asks for one page after the other; read changes the query to that of the next.
func (b *bucket) pages(ctx context.Context, query url.Values, read func(*listing) []object) (all []object, err error) {
	for {
		var page listing
		if _, err := b.do(ctx, call{method: "GET", query: query, result: &page}); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(page.XMLName.Local, "List") {
			return nil, b.explain(call{method: "GET"}, errNotS3)
		}
		before := escapeQuery(query)
		for _, o := range read(&page) {
			var ours bool
			if o.key, ours = strings.CutPrefix(o.key, b.prefix); ours {
				all = append(all, o)
			}
		}
		switch {
		case len(all) > maxObjects:
			return nil, fmt.Errorf("s3://%s/%s has more than %d objects: use a prefix for backups only", b.name, b.prefix, maxObjects)
		case !page.IsTruncated:
			slices.SortFunc(all, func(a, b object) int { return strings.Compare(a.key, b.key) })
			return all, nil
		case escapeQuery(query) == before:
			return nil, errors.New("the server repeats a page of its listing")
		}
	}
}

func (b *bucket) remove(ctx context.Context, o object) error {
	c := call{method: "DELETE", key: o.key}
	if o.upload != "" {
		c.query = url.Values{"uploadId": {o.upload}}
	}
	_, err := b.do(ctx, c)
	if hasCode(err, "NoSuchUpload", "NoSuchKey") {
		return nil
	}
	return err
}

func (b *bucket) get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	r := &download{bucket: b, ctx: ctx, key: key}
	for try := 1; ; try++ {
		err := r.open()
		if err == nil {
			return r, r.size, nil
		}
		if ctx.Err() != nil || try == s3Tries || !isTransient(err) {
			return nil, 0, b.explain(call{method: "GET", key: key}, err)
		}
		if err := b.wait(ctx, try, err); err != nil {
			return nil, 0, err
		}
	}
}

// download reads an object. When the connection breaks or stalls, it continues where that was, if
// the object is still the same.
type download struct {
	bucket *bucket
	ctx    context.Context
	key    string
	etag   string
	size   int64
	done   int64
	tries  int // without progress

	body  io.ReadCloser
	stall *time.Timer
	end   context.CancelFunc
}

var errStalled = errors.New("the server sent nothing for 30 s")

// open asks for what is not yet read.
func (d *download) open() error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	d.end = func() { cancel(nil) }
	d.stall = time.AfterFunc(getStall, func() { cancel(errStalled) })
	c := call{method: "GET", key: d.key, header: http.Header{}}
	if d.etag != "" {
		c.header.Set("Range", fmt.Sprintf("bytes=%d-", d.done))
		c.header.Set("If-Match", d.etag)
	}
	response, err := d.bucket.send(ctx, c)
	if err != nil {
		d.stop()
		if cause := context.Cause(ctx); cause != nil && d.ctx.Err() == nil {
			err = cause
		}
		return err
	}
	d.body = response.Body
	switch {
	case d.etag == "":
		d.etag, d.size = response.Header.Get("ETag"), response.ContentLength
	case response.StatusCode != http.StatusPartialContent:
		d.close()
		return &s3Error{Code: "NotImplemented", Message: "the server did not continue a download where it had ended", status: response.StatusCode}
	}
	if d.size < 0 || d.etag == "" {
		d.close()
		return &s3Error{Code: "NotImplemented", Message: "the server sent no Content-Length or no ETag", status: response.StatusCode}
	}
	return nil
}

func (d *download) stop() {
	d.stall.Stop()
	d.end()
}

func (d *download) close() {
	if d.body != nil {
		d.stop()
		_ = d.body.Close() // all that is needed was read
		d.body = nil
	}
}

func (d *download) Close() error {
	d.close()
	return nil
}

func (d *download) Read(data []byte) (int, error) {
	for {
		if d.done == d.size {
			return 0, io.EOF
		}
		n, err := 0, error(nil)
		if d.body == nil {
			err = d.open()
		}
		if err == nil {
			n, err = d.body.Read(data[:min(int64(len(data)), d.size-d.done)])
		}
		if n > 0 {
			d.done, d.tries = d.done+int64(n), 0
			d.stall.Reset(getStall)
			return n, nil
		}
		if err == nil {
			continue
		}
		d.close()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		d.tries++
		if d.ctx.Err() != nil || d.tries == s3Tries || !isTransient(err) {
			return 0, d.bucket.explain(call{method: "GET", key: d.key}, err)
		}
		if err := d.bucket.wait(d.ctx, d.tries, err); err != nil {
			return 0, err
		}
	}
}

// readSmall reads an object of at most limit bytes.
func readSmall(ctx context.Context, t target, key string, limit int64) ([]byte, error) {
	content, size, err := t.get(ctx, key)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", key, size, limit)
	}
	var text bytes.Buffer
	_, err = io.Copy(&text, content)
	return text.Bytes(), err
}
