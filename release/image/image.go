package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The formats are those of the OCI's image specification 1.1; Docker reads the same ones.
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// descriptor names a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// manifest is an image, or with Manifests an index of them.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

// imageConfig says how a container is run.
type imageConfig struct {
	Created time.Time `json:"created"`
	platform
	Config runConfig `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

type runConfig struct {
	User         string
	ExposedPorts map[string]struct{}
	Env          []string
	Entrypoint   []string
	Cmd          []string
	Volumes      map[string]struct{}
	WorkingDir   string
	StopSignal   string
	Labels       map[string]string
	Healthcheck  healthcheck // Docker's addition to the specification
}

type healthcheck struct {
	Test                           []string
	Interval, Timeout, StartPeriod time.Duration
	Retries                        int
}

func newRunConfig(version string) runConfig {
	return runConfig{
		User:         fmt.Sprintf("%d:%[1]d", user),
		ExposedPorts: map[string]struct{}{"8071/tcp": {}, "9071/tcp": {}},
		Env:          []string{"PATH=/usr/bin", "HOOKWHEEL_DATA=/data", "HOOKWHEEL_API_LISTEN=:8071"},
		Entrypoint:   []string{"/usr/bin/hookwheel"},
		Cmd:          []string{"serve"},
		Volumes:      map[string]struct{}{"/data": {}},
		WorkingDir:   "/",
		StopSignal:   "SIGTERM",
		Labels: map[string]string{"org.opencontainers.image.title": "hookwheel", "org.opencontainers.image.version": version,
			"org.opencontainers.image.description": "Reliable webhooks: one binary, three nodes, nothing else to run"},
		Healthcheck: healthcheck{Test: []string{"CMD", "/usr/bin/hookwheel", "health"}, Interval: 10 * time.Second,
			Timeout: 6 * time.Second, StartPeriod: time.Minute, Retries: 3},
	}
}

// blobs are the contents of an archive, by digest.
type blobs map[string][]byte

func (b blobs) add(mediaType string, content []byte) descriptor {
	digest := digestOf(content)
	b[digest] = content
	return descriptor{MediaType: mediaType, Digest: digest, Size: len(content)}
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// layer is a part of the file system.
type layer struct {
	diffID     string // digest of the uncompressed form
	compressed []byte
}

func newLayer(files []file, at time.Time) (layer, error) {
	var plain, compressed bytes.Buffer
	if err := writeTar(&plain, files, at); err != nil {
		return layer{}, err
	}
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return layer{}, err
	}
	if _, err := w.Write(plain.Bytes()); err != nil {
		return layer{}, err
	}
	if err := w.Close(); err != nil {
		return layer{}, err
	}
	return layer{digestOf(plain.Bytes()), compressed.Bytes()}, nil
}

// built is the image for one platform.
type built struct {
	platform platform
	blobs    blobs
	manifest manifest
	self     descriptor // of the manifest
}

func newImage(version string, created time.Time, p platform, layers []layer) (built, error) {
	image := built{platform: p, blobs: make(blobs)}
	config := imageConfig{Created: created, platform: p, Config: newRunConfig(version)}
	config.RootFS.Type = "layers"
	image.manifest = manifest{SchemaVersion: 2, MediaType: manifestType}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.diffID)
		image.manifest.Layers = append(image.manifest.Layers, image.blobs.add(layerType, l.compressed))
	}
	text, err := json.Marshal(config)
	if err != nil {
		return image, err
	}
	described := image.blobs.add(configType, text)
	image.manifest.Config = &described
	if text, err = json.Marshal(image.manifest); err != nil {
		return image, err
	}
	image.self = image.blobs.add(manifestType, text)
	image.self.Platform = &image.platform
	return image, nil
}

// build writes the archives and returns their paths.
func build(version string, created time.Time, binaries map[platform]string, out string) (paths []string, err error) {
	files, err := baseFiles()
	if err != nil {
		return nil, err
	}
	base, err := newLayer(files, created)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	all := make(blobs)
	index := manifest{SchemaVersion: 2, MediaType: indexType}
	write := func(suffix string, b blobs, root descriptor, docker []dockerImage) error {
		path := filepath.Join(out, "hookwheel_"+version+"_image"+suffix+".tar")
		paths = append(paths, path)
		return writeArchive(path, version, created, b, root, docker)
	}
	for _, p := range platforms {
		if binaries[p] == "" {
			continue
		}
		program, err := programFile(binaries[p])
		if err != nil {
			return paths, err
		}
		top, err := newLayer(program, created)
		if err != nil {
			return paths, err
		}
		image, err := newImage(version, created, p, []layer{base, top})
		if err != nil {
			return paths, err
		}
		for digest, content := range image.blobs {
			all[digest] = content
		}
		index.Manifests = append(index.Manifests, image.self)
		if err := write("_"+p.Architecture, image.blobs, image.self, []dockerImage{image.forDocker(version)}); err != nil {
			return paths, err
		}
	}
	text, err := json.Marshal(index)
	if err != nil {
		return paths, err
	}
	root := all.add(indexType, text)
	return paths, write("", all, root, nil)
}

// dockerImage is an entry of manifest.json, by which Docker loads an image.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (b *built) forDocker(version string) dockerImage {
	image := dockerImage{Config: blobPath(b.manifest.Config.Digest), RepoTags: []string{"hookwheel:" + version}}
	for _, l := range b.manifest.Layers {
		image.Layers = append(image.Layers, blobPath(l.Digest))
	}
	return image
}

func blobPath(digest string) string { return "blobs/sha256/" + digest[len("sha256:"):] }

// writeArchive writes an OCI layout with one image or index, which "docker load" reads as well if
// docker lists the image.
func writeArchive(path, version string, at time.Time, contents blobs, root descriptor, docker []dockerImage) error {
	root.Annotations = map[string]string{"org.opencontainers.image.ref.name": version,
		"io.containerd.image.name": "docker.io/library/hookwheel:" + version}
	index, err := json.Marshal(manifest{SchemaVersion: 2, MediaType: indexType, Manifests: []descriptor{root}})
	if err != nil {
		return err
	}
	files := []file{{path: "oci-layout", mode: 0o644, content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{path: "index.json", mode: 0o644, content: index}}
	if docker != nil {
		list, err := json.Marshal(docker)
		if err != nil {
			return err
		}
		files = append(files, file{path: "manifest.json", mode: 0o644, content: list})
	}
	files = append(files, file{path: "blobs/", mode: 0o755}, file{path: "blobs/sha256/", mode: 0o755})
	var digests []string
	for digest := range contents {
		digests = append(digests, digest)
	}
	slices.Sort(digests)
	for _, digest := range digests {
		files = append(files, file{path: blobPath(digest), mode: 0o644, content: contents[digest]})
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(writeTar(out, files, at), out.Close())
}
