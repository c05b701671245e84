package main

import (
	"bytes"
	"crypto/md5"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	maintainer = "The Hookwheel authors <hookwheel@example.org>"
	summary    = "reliable webhooks: one binary, three nodes, nothing else to run"
	about      = "Hookwheel accepts events over HTTP, keeps them in a replicated log and\ndelivers each one, signed, to every endpoint that subscribes to it."
)

//go:embed postinst.sh
var afterInstall []byte

//go:embed prerm.sh
var beforeRemove []byte

//go:embed postrm.sh
var afterRemove []byte

//go:embed copyright
var copyright []byte

// overrides says why lintian's objection doesn't count: programs in Go are static.
const overrides = "hookwheel: statically-linked-binary [usr/bin/hookwheel]\n"

// writeDeb writes a package for Debian: see deb(5).
func (b *builder) writeDeb(arch string, files []file) error {
	changes := fmt.Sprintf("hookwheel (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n",
		b.packageVersion(), maintainer, b.time.Format(time.RFC1123Z))
	var installed []file
	for _, f := range files {
		if f.path != docs+"LICENSE" { // copyright names it
			installed = append(installed, f)
		}
	}
	installed = append(installed,
		file{path: docs + "copyright", mode: 0o644, content: copyright},
		file{path: docs + "changelog.Debian.gz", mode: 0o644, content: compress([]byte(changes))},
		file{path: "/usr/share/lintian/overrides/hookwheel", mode: 0o644, content: []byte(overrides)})
	data, err := b.tar("./", installed)
	if err != nil {
		return err
	}
	control, err := b.tar("./", b.control(arch, installed))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, member := range []struct {
		name    string
		content []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", compress(control)}, {"data.tar.gz", pack(data)}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, b.time.Unix(), 0, 0, "100644", len(member.content))
		out.Write(member.content)
		if len(member.content)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	return os.WriteFile(filepath.Join(b.out, fmt.Sprintf("hookwheel_%s_%s.deb", b.packageVersion(), arch)), out.Bytes(), 0o644)
}

// control returns what dpkg reads of a package.
func (b *builder) control(arch string, installed []file) []file {
	var size int
	var sums, config strings.Builder
	for _, f := range installed {
		size += len(f.content)
		if f.config {
			config.WriteString(f.path + "\n")
		} else if !strings.HasSuffix(f.path, "/") {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.content), f.path[1:])
		}
	}
	text := fmt.Sprintf(`Package: hookwheel
Version: %s
Architecture: %s
Maintainer: %s
Installed-Size: %d
Depends: passwd
Recommends: ca-certificates
Section: net
Priority: optional
Description: %s
 %s
`, b.packageVersion(), arch, maintainer, size>>10, summary, strings.ReplaceAll(about, "\n", "\n "))
	return []file{
		{path: "/control", mode: 0o644, content: []byte(text)},
		{path: "/md5sums", mode: 0o644, content: []byte(sums.String())},
		{path: "/conffiles", mode: 0o644, content: []byte(config.String())},
		{path: "/postinst", mode: 0o755, content: afterInstall},
		{path: "/prerm", mode: 0o755, content: beforeRemove},
		{path: "/postrm", mode: 0o755, content: afterRemove},
	}
}
