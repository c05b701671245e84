package webhook

import (
	"bufio"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	times := strings.Repeat
	for text, want := range map[string]string{
		"https://example.com/hook":               "https://example.com/hook",
		"HTTPS://Example.COM":                    "https://example.com/",
		"http:\\\\example.com\\a":                "http://example.com/a",
		"http://a.example\\@b/":                  "http://a.example/@b/",
		" \t\x00https://example.com/ho\tok\r\n ": "https://example.com/hook",
		// Path.
		"https://example.com/Path/a%2Fb%2f%7e":          "https://example.com/Path/a%2Fb%2f%7e",
		"https://example.com//a/./../b/":                "https://example.com//b/",
		"https://example.com/../a/%2e%2E/.%2e/b/%2e":    "https://example.com/b/",
		"https://example.com/a/..":                      "https://example.com/",
		"https://example.com/.../%252e":                 "https://example.com/.../%252e",
		"https://example.com/bücher/a b\u00a0":          "https://example.com/b%C3%BCcher/a%20b%C2%A0",
		"https://example.com/100%/%zz%4":                "https://example.com/100%25/%25zz%254",
		"https://example.com/\x01\x7f\"<>[]^`{|}'!$(;)": "https://example.com/%01%7F%22%3C%3E%5B%5D%5E%60%7B%7C%7D'!$(;)",
		"https://example.com/hook ":                     "https://example.com/hook",
		// Query and fragment.
		"https://example.com?Key=Value&a=%2F":          "https://example.com/?Key=Value&a=%2F",
		"https://example.com/?":                        "https://example.com/",
		"https://example.com/p?q=a b HTTP/1.1":         "https://example.com/p?q=a%20b%20HTTP/1.1",
		"https://example.com/p?q=für+\"x\"<y>'&a[]=\\": "https://example.com/p?q=f%C3%BCr+%22x%22%3Cy%3E%27&a%5B%5D=%5C",
		"https://example.com/p?a?../b/..?%":            "https://example.com/p?a?../b/..?%25",
		"https://example.com/p?#":                      "https://example.com/p",
		"https://example.com/#Part?no=query":           "https://example.com/",
		"https://example.com#@other.example":           "https://example.com/",
		// Port.
		"https://example.com:8443": "https://example.com:8443/",
		"https://example.com:":     "https://example.com/",
		"https://example.com:443":  "https://example.com/",
		"http://example.com:443":   "http://example.com:443/",
		"http://127.0.0.1:0080/":   "http://127.0.0.1/",
		"http://[::1]:":            "http://[::1]/",
		// User and password.
		"https://User:Pass@Example.com":        "https://User:Pass@example.com/",
		"https://us er:p%40s@s:x@example.com/": "https://us%20er:p%40s%40s%3Ax@example.com/",
		"https://:secret@example.com":          "https://:secret@example.com/",
		"https://TOKEN@example.com":            "https://TOKEN@example.com/",
		"https://TOKEN:@example.com":           "https://TOKEN@example.com/",
		"https://:@example.com":                "https://example.com/",
		"https://@example.com":                 "https://example.com/",
		"https://a:100%@example.com":           "https://a:100%25@example.com/",
		// Names.
		"https://Bücher.example":             "https://xn--bcher-kva.example/",
		"https://b%C3%BCcher.Example":        "https://xn--bcher-kva.example/",
		"https://xn--bcher-kva.example":      "https://xn--bcher-kva.example/",
		"https://faß.example":                "https://xn--fa-hia.example/",
		"https://example。com/":               "https://example.com/",
		"https://ＥＸＡＭＰＬＥ.com/":               "https://example.com/",
		"https://exam\u00adple.com/":         "https://example.com/",
		"https://example.com./":              "https://example.com/",
		"https://my_service.internal/":       "https://my_service.internal/",
		"https://localhost:65535/":           "https://localhost:65535/",
		"https://" + times("a", 63) + ".org": "https://" + times("a", 63) + ".org/",
		// Addresses.
		"http://127.1/":                                "http://127.0.0.1/",
		"http://0x7f.0.0.01/":                          "http://127.0.0.1/",
		"http://2130706433/":                           "http://127.0.0.1/",
		"http://0X7F000001/":                           "http://127.0.0.1/",
		"http://0177.0.0.1./":                          "http://127.0.0.1/",
		"http://169.254.43518/":                        "http://169.254.169.254/",
		"http://１２７.０.０.１/":                            "http://127.0.0.1/",
		"http://%31%32%37.1/":                          "http://127.0.0.1/",
		"http://0/":                                    "http://0.0.0.0/",
		"http://[2001:DB8:0::1]":                       "http://[2001:db8::1]/",
		"http://[::FFFF:127.0.0.1]":                    "http://[::ffff:127.0.0.1]/",
		"http://[fe80::1%25eth0]:8080/":                "http://[fe80::1%25eth0]:8080/",
		"https://example.com/" + times("a", MaxURL-20): "https://example.com/" + times("a", MaxURL-20),
	} {
		u, err := ParseURL(text)
		if got := u.String(); err != nil || got != want {
			t.Errorf("%.60q: %.200s, %v, want %.200s", text, got, err, want)
		}
		checkURL(t, u)
	}
}

func TestURLRefused(t *testing.T) {
	const absolute, host = "not an absolute URL", "not a name that the DNS could have"
	times := strings.Repeat
	for text, detail := range map[string]string{
		"": absolute, "example.com/hook": absolute, "/hook": absolute, "https:": absolute, "https://": absolute, "https:///hook": absolute,
		"https://:443/": absolute, "https:example.com": absolute, "https:/example.com": absolute, "https://user:pass@/": absolute,
		"https://::1/": "the port", "https://[::1/": absolute, "//Example.com/hook": absolute,
		"mailto:a@example.com": "must begin with http:// or https://", "FTP://Example.com": "must begin with http:// or https://",
		"https://example.com:port/": "the port", "https://Example.com:0/": "the port", "https://Example.com:65536/": "the port",
		"https://Example.com:99999999999999999999/": "the port", "https://Example.com:+80/": "the port", "https://[::1]80/": "the port", "https://a:80:80/": "the port",
		"https://exam ple.com/": host, "https://A.example,b.example/": host, "https://a..example/": host, "https://.example/": host, "https://./": host,
		"https://a%00b/": host, "https://a%2Fb/": host, "https://a%/": host, "https://a%252e/": host, "https://a%ff/": host, "https://a<b/": host, "https://a*b/": host,
		"https://" + times("a", 64) + ".org/": host, "https://" + times("a.", 127) + "org/": host,
		"https://xn--a/": host, "https://xn--example-/": host, "https://xn--bücher/": host, "https://xn--zzzzzz9999/": host, "https://a\u200db/": host, "https://אa.example/": host,
		"https://ex\u202eample.com/": host, "https://a／b/": host, "https://a。。b/": host,
		"http://256.1.1.1/": "ends in a number", "http://1.2.3.4.5/": "ends in a number", "http://1.2.3.256/": "ends in a number", "http://4294967296/": "ends in a number",
		"http://example.1/": "ends in a number", "http://example.0x1/": "ends in a number", "http://09.1/": "ends in a number",
		"http://[1.2.3.4]/": "IPv6", "http://[]/": "IPv6", "http://[::1%lo]/": "IPv6", "http://[::1%25]/": "IPv6", "http://[::1%25a b]/": "IPv6", "http://[fe80::1%25%0d]/": "IPv6",
		"https://" + times("中", 338) + "/": host, "https://" + times("%C2%AD", 507) + "a/": host,
		"http://a%3Ab:c@example.com/": "no colon", "http://a:%0d@example.com/": "control character",
		"https://example.com/\xff":                          "not UTF-8",
		"https://example.com/" + times("a", MaxURL-19):      "longer than 8,192 bytes",
		"https://example.com/" + times(" ", MaxURL/3) + "a": "longer than 8,192 bytes",
	} {
		t.Run(text[:min(len(text), 60)], func(t *testing.T) {
			_, err := ParseURL(text)
			checkInvalid(t, err, "url", detail)
			if got := NormalURL(text); got != text {
				t.Errorf("NormalURL does not leave it alone: %q", got)
			}
		})
	}
}

func TestAuthorization(t *testing.T) {
	for text, want := range map[string]string{
		"http://example.com":              "",
		"http://:secret@example.com":      ":secret",
		"http://TOKEN@example.com":        "TOKEN:",
		"http://me:p%40ss+%C3%BC@x.org":   "me:p@ss+ü",
		"http://me:100%:%zz@example.com/": "me:100%:%zz",
	} {
		u, err := ParseURL(text)
		if err != nil {
			t.Fatal(text, err)
		}
		r := http.Request{Header: http.Header{"Authorization": {u.Authorization()}}}
		if user, password, _ := r.BasicAuth(); want != "" && user+":"+password != want || (want == "") != (u.Authorization() == "") {
			t.Errorf("%s: %s:%s, want %s", text, user, password, want)
		}
	}
}

func TestMaskURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://example.com/a%2Fb?c=d@e":     "https://example.com/a%2Fb?c=d@e",
		"https://us@example.com/":             "https://xxxxx@example.com/",
		"https://:pass@example.com/":          "https://:xxxxx@example.com/",
		"https://us:p%40ss@example.com/a%2Fb": "https://us:xxxxx@example.com/a%2Fb",
		"us:pass@":                            "xxxxx",
		"no URL":                              "no URL",
	} {
		if got := MaskURL(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// checkURL has net/http and net/url read what is sent, checks it byte by byte against RFC 3986, and parses it again.
func checkURL(t *testing.T, u URL) {
	t.Helper()
	shown := u.String()
	if len(shown) > MaxURL {
		t.Errorf("%d bytes", len(shown))
	}
	if again, err := ParseURL(shown); err != nil || again != u {
		t.Errorf("%s is parsed as %+v, %v, not %+v", shown, again, err, u)
	}
	for i, c := range []byte(u.Target) {
		if !isWordByte(c, "-._~!$&'()*+,;=:@/?") && !(c == '%' && escapesAt(u.Target, i)) {
			t.Errorf("%q in the request line of %q", c, shown)
		}
	}
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST " + u.Target + " HTTP/1.1\r\nHost: " + u.HostPort() + "\r\n\r\n")))
	if err != nil || request.RequestURI != u.Target || request.Host != u.HostPort() || request.URL.RequestURI() != u.Target {
		t.Errorf("%q: net/http reads %+v, %v", shown, request, err)
	}
	other, err := url.Parse(shown)
	if err != nil || strings.TrimSuffix(other.Hostname(), "%"+u.Zone) != u.Host || other.Fragment != "" {
		t.Errorf("%q: net/url reads %+v, %v", shown, other, err)
	}
	if password, _ := other.User.Password(); other.User.Username() != unescape(u.User) || password != unescape(u.Password) {
		t.Errorf("%q: net/url reads the user %q, %q", shown, other.User.Username(), password)
	}
	if _, err := netip.ParseAddr(u.Host); err != nil && !validHostName(u.Host) {
		t.Errorf("%q: neither name nor address: %q", shown, u.Host)
	}
	if strings.ContainsAny(u.HostPort(), "%@/?# ") {
		t.Errorf("%q: the Host header is %q", shown, u.HostPort())
	}
}

// What is accepted is what strict receivers read, names one host to all parsers, and is its own normal form.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{"HTTPS://User:Pass@Example.com:8443?a=b#c", "http://[2001:DB8::1%25eth0]", "http://b%C3%BCcher.example/a%2Fb/%7E/../%2e",
		"http://0x7f.1:/?q=a b", "http://:p%40@xn--bcher-kva.example.\\a", "http://faß。example/%"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := ParseURL(text); err == nil {
			checkURL(t, u)
		}
	})
}
