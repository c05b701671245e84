// Command release builds what is published of a version: for each platform an archive with the
// program, its manual pages and completions; packages for Debian and for rpm; a list of the
// modules in it (CycloneDX), and checksums of all these files. The same commit and version give
// the same bytes.
//
// The version is the tag of the commit, unless -version says another one; packages and "hookwheel
// version" have it from there. Run it in the root of the repository:
//
//	go run ./release -out dist
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "dist", "`folder` to create, with all files of the release")
	version := flag.String("version", "", "`version`, such as v1.2.3; default: the tag of the commit")
	targets := flag.String("targets", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64", "`platforms` to build for")
	flag.Parse()
	if err := release(*out, *version, strings.Split(*targets, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A version is semantic, as dpkg, rpm and Go order such versions alike once a hyphen is a tilde.
var validVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9a-z]+(\.[0-9a-z]+)*)?$`)

func release(out, version string, targets []string) error {
	if version == "" {
		tag, err := git("describe", "--tags", "--exact-match", "--match", "v*")
		if err != nil {
			return fmt.Errorf("this commit has no tag; name the version with -version: %w", err)
		}
		version = tag
	}
	if !validVersion.MatchString(version) {
		return fmt.Errorf("the version %q must be like v1.2.3 or v1.2.3-rc.1", version)
	}
	seconds, err := git("log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	changed, err := git("status", "--porcelain")
	if err == nil && changed != "" {
		err = fmt.Errorf("a release must be of a commit; these files are changed or not committed:\n%s", changed)
	}
	if err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	r := &builder{out: out, version: version, time: time.Unix(unix, 0).UTC()}
	for _, target := range targets {
		if err := r.target(target); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return writeSums(out)
}

// writeSums lists all files of a folder with their checksums, as sha256sum does.
func writeSums(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, entry := range entries { // sorted
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(content), entry.Name())
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(lines.String()), 0o644)
}

func git(args ...string) (string, error) {
	out, err := exec.Command("git", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(exit.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

// builder builds one release.
type builder struct {
	out     string
	version string // v1.2.3
	time    time.Time
}

// packageVersion is the version as packages have it: 1.2.3~rc.1 sorts before 1.2.3.
func (b *builder) packageVersion() string {
	return strings.Replace(strings.TrimPrefix(b.version, "v"), "-", "~", 1)
}

func (b *builder) target(target string) error {
	system, arch, ok := strings.Cut(target, "/")
	if !ok {
		return errors.New("must be like linux/amd64")
	}
	name := fmt.Sprintf("hookwheel_%s_%s_%s", strings.TrimPrefix(b.version, "v"), system, arch)
	program, err := b.compile(system, arch)
	if err != nil {
		return err
	}
	manifest, err := b.manifest(program)
	if err != nil {
		return err
	}
	files, err := b.files(program, manifest)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.out, name+".sbom.cdx.json"), manifest, 0o644); err != nil {
		return err
	}
	if err := b.writeArchive(name, files); err != nil || system != "linux" {
		return err
	}
	installed := slices.Concat(files, b.serviceFiles())
	return errors.Join(b.writeDeb(arch, installed), b.writeRPM(arch, installed))
}
