package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// installAndRemove installs a package, upgrades it to another one, goes back, and removes it, and
// checks what is there at each step.
func installAndRemove(t *testing.T, old, new string) {
	d := newDebian(t)
	d.install(t, old)
	checkInstalled(t, d)
	token := d.token(t)
	config := d.path("/etc/hookwheel/hookwheel.hcl")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "127.0.0.1:8071", d.address, 1)
	if err := os.WriteFile(config, []byte(changed), 0o640); err != nil {
		t.Fatal(err)
	}

	stop := d.node(t)
	d.call(t, http.MethodPost, "/app", `{"name":"Acme","uid":"acme"}`)
	d.call(t, http.MethodPost, "/app/acme/msg", `{"eventType":"invoice.paid","payload":{"invoice":815}}`)
	stop()
	for _, deb := range []string{new, old} { // an upgrade, and the way back
		d.install(t, deb)
		if now, err := os.ReadFile(config); err != nil || string(now) != changed {
			t.Fatalf("the configuration was changed: %v\n%s", err, now)
		}
		if d.token(t) != token {
			t.Fatal("the token was changed")
		}
		stop := d.node(t)
		if list := d.call(t, http.MethodGet, "/app/acme/msg", ""); !strings.Contains(list, "invoice.paid") {
			t.Fatalf("the message is gone: %s", list)
		}
		stop()
	}
	checkBadStarts(t, d)

	d.run(t, "dpkg --remove hookwheel && test -e /var/lib/hookwheel/store && test -e /etc/hookwheel/hookwheel.hcl && test ! -e /usr/bin/hookwheel")
	out := d.run(t, "dpkg --purge hookwheel && test -e /var/lib/hookwheel/store && test ! -e /etc/hookwheel/hookwheel.hcl && test -e /etc/hookwheel/hookwheel.env")
	if !strings.Contains(out, "Kept: the data in /var/lib/hookwheel") {
		t.Errorf("purging says nothing of the data: %s", out)
	}
	d.install(t, new)
	if d.token(t) != token {
		t.Error("the token was changed by purging and installing again")
	}
}

func checkInstalled(t *testing.T, d debian) {
	t.Helper()
	for path, want := range map[string]string{
		"/etc/hookwheel":               "750 root hookwheel",
		"/etc/hookwheel/hookwheel.hcl": "640 root hookwheel",
		"/etc/hookwheel/hookwheel.env": "640 root hookwheel",
		"/var/lib/hookwheel":           "700 hookwheel hookwheel",
	} {
		if got := strings.TrimSpace(d.run(t, "stat -c '%a %U %G' "+path)); got != want {
			t.Errorf("%s has %s, want %s", path, got, want)
		}
	}
	if out := d.run(t, "hookwheel version"); !strings.HasPrefix(out, "hookwheel v0.1.0\nrevision  ") || !strings.Contains(out, "built with go") {
		t.Errorf("hookwheel version says %s", out)
	}
}

// checkBadStarts checks that what keeps the service from starting is said clearly, and that
// nothing is lost.
func checkBadStarts(t *testing.T, d debian) {
	for _, bad := range []struct{ name, before, after, want string }{
		{"no token", "mv /etc/hookwheel/hookwheel.env /tmp/", "mv /tmp/hookwheel.env /etc/hookwheel/", `token is missing`},
		{"folder of another user", "chown root: /var/lib/hookwheel", "chown hookwheel: /var/lib/hookwheel", `/var/lib/hookwheel.*permission denied`},
		{"store of another user", "chown root: /var/lib/hookwheel/store; chmod 700 /var/lib/hookwheel/store", "chown hookwheel: /var/lib/hookwheel/store", `/var/lib/hookwheel/store.*permission denied`},
		{"read-only disk", "mount --bind /var/lib/hookwheel /var/lib/hookwheel; mount -o remount,bind,ro /var/lib/hookwheel", "umount /var/lib/hookwheel", `read-only file system`},
	} {
		d.run(t, bad.before)
		out, err := d.service(t).CombinedOutput()
		d.run(t, bad.after)
		if err == nil || !regexp.MustCompile(bad.want).Match(out) {
			t.Errorf("%s: %v, without %q: %s", bad.name, err, bad.want, out)
		}
	}
	taken, err := net.Listen("tcp", d.address)
	if err != nil {
		t.Fatal(err)
	}
	out, err := d.service(t).CombinedOutput()
	taken.Close()
	if err == nil || !bytes.Contains(out, []byte("address already in use")) {
		t.Errorf("a port that is taken: %v: %s", err, out)
	}
	stop := d.node(t)
	if out, err := d.service(t).CombinedOutput(); err == nil || !bytes.Contains(out, []byte("another hookwheel process")) {
		t.Errorf("a second node: %v: %s", err, out)
	}
	if list := d.call(t, http.MethodGet, "/app/acme/msg", ""); !strings.Contains(list, "invoice.paid") {
		t.Errorf("the message is gone: %s", list)
	}
	stop()
}

var tokenLine = regexp.MustCompile(`(?m)^HOOKWHEEL_API_TOKEN=([0-9a-f]{32})$`)

func (d debian) token(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(d.path("/etc/hookwheel/hookwheel.env"))
	if err != nil {
		t.Fatal(err)
	}
	found := tokenLine.FindSubmatch(content)
	if found == nil {
		t.Fatal("the installation has generated no token")
	}
	return string(found[1])
}

// call calls the API with the token of the installation.
func (d debian) call(t *testing.T, method, path, body string) string {
	t.Helper()
	request, err := http.NewRequest(method, d.api()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+d.token(t))
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %v: %s", method, path, response.Status, err, content)
	}
	return string(content)
}
