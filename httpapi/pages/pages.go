package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"path"
	"sync"
)

//go:embed portal.html console.html dist
var files embed.FS

// Asset is a file that browsers load.
type Asset struct {
	Text []byte
	Gzip []byte // Text, compressed
	Type string // of the content
	ETag string // quoted
}

// Assets returns all files by name: portal.html, console.html and what these load.
var Assets = sync.OnceValues(func() (map[string]*Asset, error) {
	assets := make(map[string]*Asset)
	for _, dir := range []string{".", "dist"} {
		entries, err := files.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.IsDir() {
				continue
			}
			text, err := files.ReadFile(path.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			if assets[entry.Name()], err = newAsset(entry.Name(), text); err != nil {
				return nil, err
			}
		}
	}
	return assets, nil
})

// types are set here because the system's own table may lack them.
var types = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8"}

func newAsset(name string, text []byte) (*Asset, error) {
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return &Asset{Text: text, Gzip: compressed.Bytes(), Type: types[path.Ext(name)], ETag: `"` + hex.EncodeToString(sum[:16]) + `"`}, nil
}
