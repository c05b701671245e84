package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is who runs in the image, and owns its data.
const user = 65532

// file is a file or folder of the image.
type file struct {
	path    string // a folder ends with a slash
	mode    int64
	owner   int
	content []byte
}

// baseFiles returns what is in the image besides the program.
func baseFiles() ([]file, error) {
	zones, err := timeZones()
	if err != nil {
		return nil, err
	}
	files := []file{
		{path: "certs/", mode: 0o700, owner: user},
		{path: "data/", mode: 0o700, owner: user},
		{path: "tmp/", mode: 0o1777},
		{path: "etc/", mode: 0o755},
		{path: "etc/group", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:\nhookwheel:x:%d:\n", user)},
		{path: "etc/passwd", mode: 0o644, content: fmt.Appendf(nil, "root:x:0:0:root:/:/none\nhookwheel:x:%d:%[1]d::/data:/none\n", user)},
		{path: "etc/ssl/", mode: 0o755},
		{path: "etc/ssl/certs/", mode: 0o755},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: authorities()},
		{path: "usr/", mode: 0o755},
		{path: "usr/bin/", mode: 0o755},
		{path: "usr/share/", mode: 0o755},
		{path: "usr/share/zoneinfo/", mode: 0o755},
	}
	return append(files, zones...), nil
}

// authorities returns the CAs that Mozilla trusts without conditions, for HTTPS to endpoints.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // never fails here
		}
	}
	return out.Bytes()
}

// timeZones returns the time zones that Go is shipped with, for TZ.
func timeZones() (files []file, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	archive, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	folders := map[string]bool{".": true} // the archive lists only files
	for _, entry := range archive.File {
		path := "usr/share/zoneinfo/" + entry.Name
		if strings.HasSuffix(path, "/") {
			continue
		}
		files = append(files, newFolders(folders, entry.Name)...)
		content, err := fs.ReadFile(archive, entry.Name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path: path, mode: 0o644, content: content})
	}
	return files, nil
}

// newFolders returns those above a file that are not there yet.
func newFolders(there map[string]bool, name string) (files []file) {
	for above := filepath.Dir(name); !there[above]; above = filepath.Dir(above) {
		there[above] = true
		files = append(files, file{path: "usr/share/zoneinfo/" + above + "/", mode: 0o755})
	}
	slices.Reverse(files)
	return files
}

// programFile returns the file of the program.
func programFile(binary string) ([]file, error) {
	content, err := os.ReadFile(binary)
	return []file{{path: "usr/bin/hookwheel", mode: 0o755, content: content}}, err
}

// writeTar writes files that are all of the same time.
func writeTar(out io.Writer, files []file, at time.Time) error {
	w := tar.NewWriter(out)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Uid: f.owner, Gid: f.owner,
			Size: int64(len(f.content)), ModTime: at, Format: tar.FormatUSTAR}
		if strings.HasSuffix(f.path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.content); err != nil {
			return err
		}
	}
	return w.Close()
}
