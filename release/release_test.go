package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// TestRelease builds two versions of the commit, the first one in two folders, and has the tools
// of Debian try them.
func TestRelease(t *testing.T) {
	need(t, "git", "git")
	first, again, second := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist")
	tool, repository := buildTool(t), commit(t)
	here, there := checkOut(t, repository), checkOut(t, repository)
	for _, run := range []struct{ folder, out, version string }{{here, first, "v0.1.0"}, {there, again, "v0.1.0"}, {here, second, "v0.2.0"}} {
		commandIn(t, run.folder, tool, "-out", run.out, "-version", run.version, "-targets", "linux/amd64")
	}

	t.Run("reproducible", func(t *testing.T) {
		for name, content := range readAll(t, first) {
			if other := readAll(t, again)[name]; !bytes.Equal(content, other) {
				t.Errorf("%s differs when it is built in another folder", name)
			}
		}
	})
	t.Run("sums", func(t *testing.T) { command(t, "sh", "-c", "cd "+first+" && sha256sum --check --strict SHA256SUMS") })
	t.Run("manifest", func(t *testing.T) {
		checkManifest(t, filepath.Join(first, "hookwheel_0.1.0_linux_amd64.sbom.cdx.json"))
	})
	t.Run("lintian", func(t *testing.T) {
		need(t, "lintian", "lintian")
		command(t, "lintian", "--allow-root", "--fail-on", "error", filepath.Join(first, "hookwheel_0.1.0_amd64.deb"))
	})
	t.Run("rpm", func(t *testing.T) {
		need(t, "rpm", "rpm")
		path := filepath.Join(first, "hookwheel-0.1.0-1.x86_64.rpm")
		command(t, "rpm", "--checksig", "--nosignature", path)
		if config := command(t, "rpm", "-qcp", path); config != "/etc/hookwheel/hookwheel.hcl\n" {
			t.Errorf("the configuration files are %q", config)
		}
		if required := command(t, "rpm", "-qp", "--qf", `[%{REQUIRENAME} %{REQUIREFLAGS:deptype}\n]`, path); !strings.Contains(required, "/usr/sbin/useradd post\n") {
			t.Errorf("requires: %s", required)
		}
		listed := command(t, "rpm", "-qlp", path)
		for _, name := range []string{"/usr/bin/hookwheel", "/usr/lib/systemd/system/hookwheel.service", "/usr/share/man/man1/hookwheel-serve.1.gz"} {
			if !strings.Contains(listed, name+"\n") {
				t.Errorf("%s is missing in\n%s", name, listed)
			}
		}
	})
	t.Run("Debian", func(t *testing.T) {
		old := filepath.Join(first, "hookwheel_0.1.0_amd64.deb")
		installAndRemove(t, old, filepath.Join(second, "hookwheel_0.2.0_amd64.deb"))
	})
}

// need skips a test for want of a program, which .ci/run installs.
func need(t *testing.T, program, hint string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s (%s) is missing", program, hint)
	}
	t.Skipf("%s is missing; .ci/run installs it", program)
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	return commandIn(t, ".", name, args...)
}

func commandIn(t *testing.T, folder, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// buildTool builds this command without the race detector, which makes compressing slow. The flags
// are those of the program, so that its packages are compiled once.
func buildTool(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "release")
	t.Setenv("CGO_ENABLED", "0")
	command(t, "go", "build", "-trimpath", "-o", path, ".")
	return path
}

// commit returns a repository whose only commit has the files that are tested, also where these are
// in no repository.
func commit(t *testing.T) string {
	t.Helper()
	repository := filepath.Join(t.TempDir(), "repository")
	command(t, "git", "init", "--quiet", "--bare", repository)
	for _, args := range [][]string{{"add", "--all"}, {"-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message", "test"}} {
		commandIn(t, "..", "git", append([]string{"--git-dir=" + repository, "--work-tree=."}, args...)...)
	}
	return repository
}

// checkOut returns a new folder with a clone of a repository.
func checkOut(t *testing.T, repository string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "copy")
	command(t, "git", "clone", "--quiet", "--shared", repository, folder)
	return folder
}

func readAll(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(folder, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func checkManifest(t *testing.T, path string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list bill
	if err := json.Unmarshal(content, &list); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]component)
	for _, c := range list.Components {
		names[c.Name] = c
	}
	for _, name := range []string{"std", "github.com/dgraph-io/badger/v4", "github.com/hashicorp/raft"} {
		if names[name].Version == "" || !strings.HasPrefix(names[name].PURL, "pkg:golang/") {
			t.Errorf("%s is missing or has no version: %+v", name, names[name])
		}
	}
	if names["github.com/google/rpmpack"].Name != "" {
		t.Error("a module that only this program uses is linked into hookwheel")
	}
}

func TestUnit(t *testing.T) {
	need(t, "systemd-analyze", "systemd")
	out := command(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", "hookwheel.service")
	t.Log(out[strings.LastIndex(out, "Overall"):])
	folder := t.TempDir()
	text := strings.ReplaceAll(string(unit), "/usr/bin/hookwheel", "/bin/true") // verify looks for the program
	path := filepath.Join(folder, "hookwheel.service")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := command(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
}

func TestVersions(t *testing.T) {
	for _, version := range []string{"1.2.3", "v1.2", "v1.2.3-RC", "v1.2.3 ", "v1.2.3;true", "", "v1.2.3-"} {
		if validVersion.MatchString(version) {
			t.Errorf("%q is taken for a version", version)
		}
	}
	if got := (&builder{version: "v1.2.3-rc.1"}).packageVersion(); got != "1.2.3~rc.1" {
		t.Errorf("the version of packages is %s", got)
	}
}

// debian is a Debian of its own below a folder.
type debian struct{ root, address string }

func newDebian(t *testing.T) debian {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("installing a package needs root")
	}
	need(t, "debootstrap", "debootstrap")
	d := debian{filepath.Join(t.TempDir(), "root"), process.FreeAddress(t)}
	if out, err := exec.Command("debootstrap", "--variant=minbase", "bookworm", d.root).CombinedOutput(); err != nil {
		t.Skipf("no Debian to install in, perhaps for want of its mirror: %v\n%s", err, out)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(d.root)), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// api returns the URL of the API of the node.
func (d debian) api() string { return "http://" + d.address + "/api/v1" }

func (d debian) path(name string) string { return filepath.Join(d.root, name) }

// run runs a shell command as root of the Debian.
func (d debian) run(t *testing.T, script string) string {
	t.Helper()
	return command(t, "chroot", d.root, "sh", "-ec", script)
}

// install installs a package that is outside of it.
func (d debian) install(t *testing.T, deb string) string {
	t.Helper()
	command(t, "cp", deb, d.path("/tmp/package.deb"))
	return d.run(t, "dpkg --install --force-confdef --force-downgrade /tmp/package.deb 2>&1")
}

var execStart = regexp.MustCompile(`(?m)^ExecStart=(.*)$`)

// service returns the command of the unit that is installed, run as the unit runs it.
func (d debian) service(t *testing.T) *exec.Cmd {
	t.Helper()
	installed, err := os.ReadFile(d.path("/usr/lib/systemd/system/hookwheel.service"))
	if err != nil {
		t.Fatal(err)
	}
	line := execStart.FindSubmatch(installed)[1]
	script := fmt.Sprintf("set -a; [ ! -e /etc/hookwheel/hookwheel.env ] || . /etc/hookwheel/hookwheel.env; HOOKWHEEL_API_DRAIN=0s; cd /etc/hookwheel; "+
		"exec setpriv --reuid hookwheel --regid hookwheel --clear-groups --no-new-privs --bounding-set=-all %s", line)
	return exec.CommandContext(process.Context(t), "chroot", d.root, "sh", "-ec", script)
}

// node runs the service until the function that it returns is called.
func (d debian) node(t *testing.T) (stop func()) {
	t.Helper()
	p := process.StartCommand(t, d.service(t))
	wait.For(t, "the node is healthy", func() bool {
		if !p.IsAlive() {
			t.Fatalf("the node ended: %v", p.Cmd.ProcessState)
		}
		response, err := http.Get(d.api() + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode < 300
	})
	return func() {
		t.Helper()
		if code := p.Stop(t); code != 0 {
			t.Fatalf("the node ended with exit code %d", code)
		}
	}
}
