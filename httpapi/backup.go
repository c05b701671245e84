package httpapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
)

const (
	backupStall = 2 * time.Minute // without progress: a client may have to send a part of it elsewhere again
	backupGrace = time.Minute     // before the rate of a reader is checked
	backupRate  = 128 << 10       // bytes per second: the store keeps old versions for as long as it is being read
)

var errSlowReader = errors.New("the reader of a backup is too slow")

// getBackup streams the state of this node. If it fails on the way, the connection is closed
// before the end that Content-Length announced.
func getBackup(r *request) (*response, error) {
	if err := r.current(); err != nil {
		return nil, err
	}
	status := r.server.config.Node.Status()
	size, content, err := r.server.config.Store.OpenBackup(context.Background(), wal.BackupHeader{Cluster: status.Cluster, Node: status.ID, Version: status.Version})
	if err != nil {
		return nil, err
	}
	r.audit(auditBackup)
	r.http.SetContentType("application/octet-stream")
	r.http.Response.Header.Set(fasthttp.HeaderContentDisposition, `attachment; filename="hookwheel.backup"`)
	r.http.SetBodyStream(&pacedReader{ReadCloser: content, log: r.server.config.Logger, conn: r.http.Conn(), begin: time.Now()}, int(size)) // closes it
	return ok(nil), nil
}

// pacedReader extends the deadline of writes while it makes progress: a pause is limited, not the
// whole.
type pacedReader struct {
	io.ReadCloser
	log   *slog.Logger
	conn  net.Conn
	begin time.Time
	done  int64
}

func (r *pacedReader) Read(data []byte) (int, error) {
	n, err := r.read(data)
	if err != nil && err != io.EOF {
		r.log.Warn("a backup was not sent to its end", "sentMiB", r.done>>20, "error", err)
	}
	return n, err
}

func (r *pacedReader) read(data []byte) (int, error) {
	now := time.Now()
	if took := now.Sub(r.begin); took > backupGrace && float64(r.done) < took.Seconds()*backupRate {
		return 0, errSlowReader
	}
	if err := r.conn.SetWriteDeadline(now.Add(backupStall)); err != nil {
		return 0, err
	}
	n, err := r.ReadCloser.Read(data)
	r.done += int64(n)
	return n, err
}
