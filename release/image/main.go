// Command image builds the container image of hookwheel, without a container engine: an OCI
// archive for all platforms, and one archive for "docker load" for each.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// platforms are those that the image is for.
var platforms = []platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}

func main() {
	version := flag.String("version", "", "version of the release, such as 1.2.3 (required)")
	out := flag.String("out", "dist", "folder for the archives")
	only := flag.String("only", "", "build for this architecture only: amd64 or arm64")
	flag.Parse()
	if err := run(*version, *out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// versionPattern is what both Docker's tags and versions allow.
var versionPattern = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$`)

func run(version, out, only string) error {
	if !versionPattern.MatchString(version) {
		return fmt.Errorf("--version %q: must be a version that can be the tag of an image, such as 1.2.3", version)
	}
	created, err := sourceTime()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "hookwheel-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	binaries := make(map[platform]string)
	for _, p := range platforms {
		if only != "" && p.Architecture != only {
			continue
		}
		binaries[p] = filepath.Join(temp, p.Architecture)
		if err := compile(p, version, binaries[p]); err != nil {
			return err
		}
	}
	if len(binaries) == 0 {
		return fmt.Errorf("--only %q: must be amd64 or arm64", only)
	}
	paths, err := build(version, created, binaries, out)
	for _, path := range paths {
		fmt.Println(path)
	}
	return err
}

// sourceTime returns the time that the image and its files have: that of the last commit, unless
// SOURCE_DATE_EPOCH says another.
func sourceTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, errors.Join(errors.New("the time of the last commit is not known: set SOURCE_DATE_EPOCH"), err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// compile builds a static binary, the same on each machine with the same Go, and with the version
// that archives and packages have.
func compile(p platform, version, path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w -buildid= -X main.version=v"+strings.TrimPrefix(version, "v"), "-o", path, "hookwheel")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+p.OS, "GOARCH="+p.Architecture, "GOAMD64=v1", "GOARM64=v8.0")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}
