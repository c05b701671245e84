package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/rpmpack"
)

// neededByPostin (RPMSENSE_SCRIPT_POST) makes rpm install what is required before it runs the
// script.
const neededByPostin = 1 << 10

// writeRPM writes a package for rpm.
func (b *builder) writeRPM(arch string, files []file) error {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	version := b.packageVersion()
	pack, err := rpmpack.NewRPM(rpmpack.RPMMetaData{
		Name: "hookwheel", Summary: summary, Description: about, Version: version, Release: "1", Arch: machine, OS: "linux",
		Vendor: "The Hookwheel authors", Licence: "Apache-2.0", BuildHost: "hookwheel", BuildTime: b.time, Compressor: "gzip:6", Epoch: rpmpack.NoEpoch,
		Requires: rpmpack.Relations{{Name: "/usr/sbin/useradd", Sense: neededByPostin}}, // its package has other names elsewhere
	})
	if err != nil {
		return err
	}
	for _, f := range files {
		entry := rpmpack.RPMFile{Name: strings.TrimSuffix(f.path, "/"), Body: f.content, Mode: uint(f.mode), Owner: "root", Group: "root", MTime: uint32(b.time.Unix())}
		switch {
		case strings.HasSuffix(f.path, "/"):
			entry.Mode |= 0o40000
		case f.config:
			entry.Type = rpmpack.ConfigFile | rpmpack.NoReplaceFile
		}
		pack.AddFile(entry)
	}
	pack.AddPostin(string(afterInstall))
	pack.AddPreun(string(beforeRemove))
	pack.AddPostun(string(afterRemove))
	out, err := os.Create(filepath.Join(b.out, fmt.Sprintf("hookwheel-%s-1.%s.rpm", version, machine)))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := pack.Write(out); err != nil {
		return err
	}
	return out.Close()
}
