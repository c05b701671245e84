package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hookwheel/durable"
)

const (
	unfinishedSuffix = ".unfinished" // of a file that is being written
	folderReserve    = 256 << 20     // bytes that a backup leaves free: the disk may be that of a node
)

// folder is a target in the file system.
type folder struct{ path string }

func (f folder) file(key string) string { return filepath.Join(f.path, filepath.FromSlash(key)) }

func (f folder) put(ctx context.Context, key string, content io.Reader, size int64) (err error) {
	free, _, err := durable.Space(f.path)
	if err != nil { // it is not created, as its disk may not be mounted
		return err
	}
	if free < size+folderReserve {
		return fmt.Errorf("the backup needs %d MiB, but %s has %d MiB free", (size+folderReserve)>>20, f.path, free>>20)
	}
	path := f.file(key)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := os.OpenFile(path+unfinishedSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = io.Copy(file, contextReader{ctx, content})
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := durable.Rename(file.Name(), path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Dir(path))) // it may be new
}

func (f folder) get(ctx context.Context, key string) (io.ReadCloser, int64, error) {
	file, err := os.Open(f.file(key))
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", file.Name())
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{contextReader{ctx, file}, file}, info.Size(), nil
}

func (f folder) list(ctx context.Context, prefix string) (list []object, err error) {
	return f.walk(ctx, prefix, func(key string) (string, bool) { return key, !strings.HasSuffix(key, unfinishedSuffix) })
}

func (f folder) unfinished(ctx context.Context, prefix string) ([]object, error) {
	return f.walk(ctx, prefix, func(key string) (string, bool) { return strings.CutSuffix(key, unfinishedSuffix) })
}

// walk lists files in the folders of clusters, which is where put writes. Others, such as
// lost+found, may not even be readable.
func (f folder) walk(ctx context.Context, prefix string, want func(string) (string, bool)) (list []object, err error) {
	folders, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	for _, inner := range folders {
		if !inner.IsDir() || !isCluster(inner.Name()) || !strings.HasPrefix(inner.Name()+"/", prefix) && !strings.HasPrefix(prefix, inner.Name()+"/") {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(f.path, inner.Name()))
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			file := inner.Name() + "/" + entry.Name()
			key, wanted := want(file)
			info, err := entry.Info()
			if !wanted || !strings.HasPrefix(key, prefix) || errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
				continue
			}
			if err != nil {
				return nil, err
			}
			o := object{key: key, size: info.Size(), modified: info.ModTime()}
			if key != file {
				o.upload = file
			}
			list = append(list, o)
		}
	}
	if len(list) > maxObjects {
		return nil, fmt.Errorf("%s has more than %d files: use a folder for backups only", f.path, maxObjects)
	}
	return list, ctx.Err()
}

func (f folder) remove(_ context.Context, o object) error {
	name := o.key
	if o.upload != "" {
		name = o.upload
	}
	if err := os.Remove(f.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(f.file(name)))
}

// contextReader reads until the context ends.
type contextReader struct {
	ctx  context.Context
	from io.Reader
}

func (r contextReader) Read(data []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(data)
}
