package backup

import (
	"context"
	"io"
	"time"
)

// object is something that a target stores.
type object struct {
	key      string
	size     int64
	modified time.Time
	upload   string // of a write that has not ended; empty: it has
}

// target is where backups are stored: a bucket or a folder. Keys are relative to its location.
type target interface {
	// put stores content, of size bytes. If that can't be read to its end, nothing is stored, and
	// after any other error perhaps.
	put(ctx context.Context, key string, content io.Reader, size int64) error
	// get reads an object from its begin to its end.
	get(ctx context.Context, key string) (content io.ReadCloser, size int64, err error)
	// list returns the objects whose keys have a prefix, sorted by key.
	list(ctx context.Context, prefix string) ([]object, error)
	// unfinished returns the writes that have not ended.
	unfinished(ctx context.Context, prefix string) ([]object, error)
	// remove removes an object, or ends an unfinished write. It need not exist.
	remove(ctx context.Context, o object) error
}
