package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// writeArchive writes what all platforms get into one folder.
func (b *builder) writeArchive(name string, files []file) error {
	flat := slices.Clone(files)
	for i := range flat {
		relative := strings.TrimPrefix(flat[i].path, "/usr/")
		relative = strings.TrimPrefix(strings.TrimPrefix(relative, "bin/"), "share/doc/hookwheel/")
		flat[i].path = "/" + name + "/" + strings.TrimPrefix(relative, "share/")
	}
	content, err := b.tar("", flat)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, name+".tar.gz"), pack(content), 0o644)
}

// tar returns files of root, with the folders that they are in; prefix replaces the first slash.
func (b *builder) tar(prefix string, files []file) ([]byte, error) {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, f := range withFolders(files) {
		header := &tar.Header{Name: prefix + strings.TrimPrefix(f.path, "/"), Mode: int64(f.mode), Size: int64(len(f.content)),
			ModTime: b.time, Uname: "root", Gname: "root", Format: tar.FormatGNU, Typeflag: tar.TypeReg}
		if strings.HasSuffix(f.path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return out.Bytes(), err
}

// withFolders adds the folders of files, and sorts all.
func withFolders(files []file) []file {
	list := slices.Clone(files)
	known := func(name string) bool { return slices.ContainsFunc(list, func(f file) bool { return f.path == name }) }
	for _, f := range files {
		for folder := path.Dir(strings.TrimSuffix(f.path, "/")); folder != "/"; folder = path.Dir(folder) {
			if !known(folder + "/") {
				list = append(list, file{path: folder + "/", mode: 0o755})
			}
		}
	}
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return list
}
