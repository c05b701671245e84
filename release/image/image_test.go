package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBuild builds the image of two binaries twice: the archives are the same, whole, and name
// each blob by what it contains.
func TestBuild(t *testing.T) {
	dir := t.TempDir()
	binaries := make(map[platform]string)
	for _, p := range platforms {
		binaries[p] = filepath.Join(dir, p.Architecture)
		if err := os.WriteFile(binaries[p], []byte("the program for "+p.Architecture), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := time.Unix(1700000000, 0).UTC()
	var archives [2]map[string][]byte
	for i := range archives {
		out := filepath.Join(dir, "out", string(rune('a'+i)))
		if _, err := build("1.2.3", at, binaries, out); err != nil {
			t.Fatal(err)
		}
		archives[i] = make(map[string][]byte)
		for _, name := range []string{"", "_amd64", "_arm64"} {
			content, err := os.ReadFile(filepath.Join(out, "hookwheel_1.2.3_image"+name+".tar"))
			if err != nil {
				t.Fatal(err)
			}
			archives[i][name] = content
		}
	}
	if !maps.EqualFunc(archives[0], archives[1], bytes.Equal) {
		t.Error("a second build is not the same")
	}
	for name, content := range archives[0] {
		images := checkArchive(t, content)
		want := map[string][]string{"": {"amd64", "arm64"}, "_amd64": {"amd64"}, "_arm64": {"arm64"}}[name]
		if !slices.Equal(images, want) {
			t.Errorf("archive %q has images for %v, not %v", name, images, want)
		}
	}
}

// checkArchive follows an archive from its index, and returns the architectures of its images.
func checkArchive(t *testing.T, content []byte) (architectures []string) {
	t.Helper()
	files := readTar(t, content)
	blob := func(d descriptor) []byte {
		found := files[blobPath(d.Digest)]
		if digestOf(found) != d.Digest || len(found) != d.Size {
			t.Errorf("%s has %d bytes, of %s", d.Digest, len(found), digestOf(found))
		}
		return found
	}
	var follow func(text []byte)
	follow = func(text []byte) {
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		for _, d := range m.Manifests {
			follow(blob(d))
		}
		if m.Config == nil {
			return
		}
		var config imageConfig
		if err := json.Unmarshal(blob(*m.Config), &config); err != nil {
			t.Fatal(err)
		}
		architectures = append(architectures, config.Architecture)
		program := string(blob(m.Layers[1]))
		if len(m.Layers) != 2 || len(config.RootFS.DiffIDs) != 2 || program == "" || config.Config.User != "65532:65532" {
			t.Errorf("an image has %d layers, and runs as %s", len(m.Layers), config.Config.User)
		}
		blob(m.Layers[0])
	}
	follow(files["index.json"])
	return architectures
}

func readTar(t *testing.T, content []byte) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// What is in the image can be used: folders come before what is in them, CAs can be parsed.
func TestBaseFiles(t *testing.T) {
	files, err := baseFiles()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{"./": true}
	content := make(map[string]string)
	for _, f := range files {
		path := strings.TrimSuffix(f.path, "/")
		if !there[filepath.Dir(path)+"/"] {
			t.Errorf("the folder of %s is not in the image", f.path)
		}
		if there[f.path] {
			t.Errorf("%s is in the image twice", f.path)
		}
		there[f.path], content[f.path] = true, string(f.content)
	}
	if count := strings.Count(content["etc/ssl/certs/ca-certificates.crt"], "BEGIN CERTIFICATE"); count < 50 {
		t.Errorf("it has %d CAs", count)
	}
	if !strings.HasPrefix(content["usr/share/zoneinfo/Europe/Berlin"], "TZif") {
		t.Error("it has no time zone of Berlin")
	}
}

func TestRunRefuses(t *testing.T) {
	for want, args := range map[string][2]string{`--version ""`: {"", ""}, `--version "1.2+3"`: {"1.2+3", ""}, `--only "mips"`: {"1.2.3", "mips"}} {
		if err := run(args[0], t.TempDir(), args[1]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
