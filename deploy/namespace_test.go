package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hookwheel/systemtest/process"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if imageFolder != "" {
		if err := os.RemoveAll(imageFolder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(code)
}

const (
	aloneVariable = "TEST_ALONE" // names the test that this process runs in namespaces of its own
	imageVariable = "TEST_IMAGE" // the folder of the image that it uses
)

// alone runs a test again in a process with a network and mounts of its own, and reports whether
// this is that process. The image is unpacked for it.
func alone(t *testing.T) bool {
	if os.Getenv(aloneVariable) == t.Name() {
		return true
	}
	requirePrograms(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(process.Context(t), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), aloneVariable+"="+t.Name(), imageVariable+"="+unpackedImage(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	return false
}

// requirePrograms skips the test, except in CI, if this machine can't run containers.
func requirePrograms(t *testing.T) {
	missing := ""
	for _, program := range []string{"ip", "nsenter", "unshare", "mount", "chroot"} {
		if _, err := exec.LookPath(program); err != nil {
			missing += " " + program
		}
	}
	if os.Getuid() == 0 && missing == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("can't run containers: user %d, missing:%s", os.Getuid(), missing)
	}
	t.Skipf("needs root and ip, nsenter, unshare, mount and chroot; missing:%s", missing)
}

// imageFolder is where the tests of this process have the image.
var imageFolder string

// unpackedImage builds the image, once, and unpacks it.
func unpackedImage(t *testing.T) string {
	if imageFolder != "" {
		return imageFolder
	}
	dist := t.TempDir()
	cmd := exec.CommandContext(process.Context(t), "go", "run", "../release/image", "--version", "0.1.0", "--only", "amd64", "--out", dist)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	folder, err := os.MkdirTemp("", "hookwheel-test-image-")
	if err != nil {
		t.Fatal(err)
	}
	unpackArchive(t, filepath.Join(dist, "hookwheel_0.1.0_image_amd64.tar"), folder)
	imageFolder = folder
	return folder
}

// unpackArchive makes the file system of the image, and a file with its configuration beside it,
// as a container engine does.
func unpackArchive(t *testing.T, path, folder string) {
	t.Helper()
	blobs := make(map[string][]byte)
	archive, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	each(t, archive, func(header *tar.Header, content []byte) { blobs[header.Name] = content })
	blob := func(digest string) []byte { return blobs["blobs/"+strings.Replace(digest, ":", "/", 1)] }
	var index, image struct {
		Config            struct{ Digest string }
		Manifests, Layers []struct{ Digest string }
	}
	decode(t, blobs["index.json"], &index)
	decode(t, blob(index.Manifests[0].Digest), &image)
	for _, layer := range image.Layers {
		plain, err := gzip.NewReader(bytes.NewReader(blob(layer.Digest)))
		if err != nil {
			t.Fatal(err)
		}
		each(t, plain, func(header *tar.Header, content []byte) { unpackFile(t, folder, header, content) })
	}
	for _, folders := range []string{"proc", "etc"} { // which engines mount over
		must(t, os.MkdirAll(filepath.Join(folder, "rootfs", folders), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(folder, "rootfs/etc/resolv.conf"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(folder, "config.json"), blob(image.Config.Digest), 0o644))
}

func unpackFile(t *testing.T, folder string, header *tar.Header, content []byte) {
	path := filepath.Join(folder, "rootfs", header.Name)
	if header.Typeflag == tar.TypeDir {
		must(t, os.MkdirAll(path, 0o755))
	} else {
		must(t, os.WriteFile(path, content, 0o644))
	}
	must(t, errors.Join(os.Chown(path, header.Uid, header.Gid), syscall.Chmod(path, uint32(header.Mode))))
}

func each(t *testing.T, in io.Reader, f func(*tar.Header, []byte)) {
	t.Helper()
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		f(header, content)
	}
}

func decode(t *testing.T, text []byte, out any) {
	t.Helper()
	must(t, json.Unmarshal(text, out))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
