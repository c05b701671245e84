package httpapi

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
)

const (
	backupStall = 30 * time.Second // for a reader that takes nothing
	backupGrace = time.Minute      // before the rate of a reader is looked at
	backupRate  = 128 << 10        // bytes per second: the store keeps old versions for as long as it is being read
)

var errSlowReader = errors.New("the reader of a backup is too slow")

// getBackup streams the state of this node. If anything fails on the way the connection is closed before the end that
// Content-Length has promised.
func (s *Server) getBackup(ctx *fasthttp.RequestCtx) (answer, error) {
	if err := s.current(); err != nil {
		return answer{}, err
	}
	status := s.config.Node.Status()
	size, content, err := s.config.Store.OpenBackup(wal.BackupHeader{Cluster: status.Cluster, Node: status.ID, Version: status.Version})
	if err != nil {
		return answer{}, err
	}
	s.audit.note(ctx, auditBackup)
	ctx.SetContentType("application/octet-stream")
	ctx.Response.Header.Set(fasthttp.HeaderContentDisposition, `attachment; filename="hookwheel.backup"`)
	ctx.SetBodyStream(&pacedReader{ReadCloser: content, server: s, conn: ctx.Conn(), begin: time.Now()}, int(size)) // closes it
	return answer{status: fasthttp.StatusOK}, nil
}

// pacedReader moves the time limit of writing an answer: what is limited is a pause, not the whole.
type pacedReader struct {
	io.ReadCloser
	server *Server
	conn   net.Conn
	begin  time.Time
	done   int64
}

func (r *pacedReader) Read(data []byte) (int, error) {
	n, err := r.read(data)
	if err != nil && err != io.EOF {
		r.server.config.Logger.Warn("a backup was not sent to its end", "sentMiB", r.done>>20, "error", err)
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
