package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
)

// maxProgram bounds the program, so that what a dependency links in is noticed.
const maxProgram = 30_000_000 // bytes

// compile builds the program: static, and the same bytes in any folder.
func (b *builder) compile(system, arch string) ([]byte, error) {
	folder, err := os.MkdirTemp("", "release")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "hookwheel")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=true", "-ldflags", "-s -w -buildid= -X main.version="+b.version, "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+system, "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" }) {
		return nil, errors.New("the program doesn't say its commit, which Go can't find in a linked worktree: build in a clone")
	}
	program, err := os.ReadFile(path)
	if err == nil && len(program) > maxProgram {
		err = fmt.Errorf("the program has %d bytes, and should have at most %d: see what links in with go tool nm -size -sort size", len(program), maxProgram)
	}
	return program, err
}
