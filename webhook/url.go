package webhook

import (
	"encoding/base64"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxURL limits the URL of an endpoint, in bytes, both as it was given and as it is sent.
const MaxURL = 8 << 10

// URL is the parsed URL of an endpoint: what is dialed and what is written on the wire. Nothing
// else parses the URLs of endpoints, so both always match what String returns.
type URL struct {
	Secure   bool   // https
	Host     string // an ASCII name in lower case without a final dot, or an address without brackets
	Zone     string // of an IPv6 address: the interface through which it is dialed; never sent
	Port     uint16
	User     string // percent-encoded; no credentials if User and Password are empty
	Password string // percent-encoded
	Target   string // path and query
}

// ParseURL parses text as browsers do (WHATWG's URL Standard), but is stricter where they accept
// what RFC 3986 and RFC 9112 do not: the result contains no byte that a strict receiver would
// refuse. Parsing what String returns gives the same URL.
func ParseURL(text string) (u URL, err error) {
	if len(text) > MaxURL {
		return u, errURLTooLong
	}
	if !utf8.ValidString(text) {
		return u, Invalid("url", "the URL is not UTF-8")
	}
	text = strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	text = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(text)
	scheme, rest, found := strings.Cut(text, ":")
	switch scheme = strings.ToLower(scheme); {
	case !found || scheme == "" || strings.ContainsAny(scheme, `/\?#`):
		return u, errNoURL
	case scheme != "http" && scheme != "https":
		return u, Invalid("url", "the URL must begin with http:// or https://")
	}
	u.Secure = scheme == "https"
	rest, _, _ = strings.Cut(rest, "#") // a fragment is never sent
	rest, query, _ := strings.Cut(rest, "?")
	rest = strings.ReplaceAll(rest, `\`, "/")
	rest, found = strings.CutPrefix(rest, "//")
	authority, path, _ := strings.Cut(rest, "/")
	if !found || authority == "" {
		return u, errNoURL
	}
	if err := u.parseAuthority(authority); err != nil {
		return u, err
	}
	u.Target = escape(withoutDots(path), pathBytes)
	if query != "" {
		u.Target += "?" + escape(query, queryBytes)
	}
	if len(u.String()) > MaxURL {
		return u, errURLTooLong
	}
	return u, nil
}

var (
	errNoURL      = Invalid("url", "not an absolute URL such as https://example.com/hook")
	errURLTooLong = Invalid("url", "the URL is longer than 8,192 bytes, which is the limit; what is not allowed in a URL takes three as it is sent")
)

// parseAuthority parses user, password, host and port.
func (u *URL) parseAuthority(text string) error {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, password, _ := strings.Cut(text[:at], ":")
		u.User, u.Password = escape(user, userBytes), escape(password, userBytes)
		if !validCredentials(unescape(u.User), unescape(u.Password)) {
			return Invalid("url", "the user in the URL must hold no colon, and neither it nor the password a control character: HTTP can't send them (RFC 7617)")
		}
		text = text[at+1:]
	}
	end := strings.IndexByte(text, ':')
	if strings.HasPrefix(text, "[") {
		if end = strings.IndexByte(text, ']') + 1; end == 0 {
			return errNoURL
		}
	}
	var port string
	if end >= 0 {
		text, port = text[:end], text[end:]
	}
	var ok bool
	if u.Port, ok = parsePort(port, u.defaultPort()); !ok {
		return Invalid("url", "the port of the URL must be 1 to 65535")
	}
	if strings.HasPrefix(text, "[") {
		return u.parseIPv6(text[1 : len(text)-1])
	}
	return u.parseHost(text)
}

func validCredentials(user, password string) bool {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return !strings.Contains(user, ":") && !strings.ContainsFunc(user+password, control)
}

func (u *URL) defaultPort() uint16 {
	if u.Secure {
		return 443
	}
	return 80
}

// parsePort parses what follows a host: a colon and a number. Without a number, the port is
// byDefault.
func parsePort(text string, byDefault uint16) (port uint16, ok bool) {
	if text == "" || text == ":" {
		return byDefault, true
	}
	digits, found := strings.CutPrefix(text, ":")
	if !found || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 16)
	return uint16(number), err == nil && number > 0
}

// parseIPv6 parses the text between brackets, possibly with a zone (RFC 6874).
func (u *URL) parseIPv6(text string) error {
	text, zone, given := strings.Cut(text, "%25")
	address, err := netip.ParseAddr(text)
	if err != nil || !address.Is6() || address.Zone() != "" || given && !validZone(zone) {
		return Invalid("url", "what is in brackets in the URL is not an IPv6 address")
	}
	u.Host, u.Zone = address.String(), zone
	return nil
}

// validZone accepts the names of interfaces.
func validZone(zone string) bool {
	for _, c := range []byte(zone) {
		if !isWordByte(c, "-._~") {
			return false
		}
	}
	return zone != "" && len(zone) <= 15
}

// IsSecretless reports whether the URL has neither user nor password.
func (u URL) IsSecretless() bool { return u.User == "" && u.Password == "" }

// HostPort returns the host, and the port unless it is the scheme's default, as it is shown and
// sent in the Host header.
func (u URL) HostPort() string {
	host := u.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if u.Port != u.defaultPort() {
		host += ":" + strconv.Itoa(int(u.Port))
	}
	return host
}

// Address returns the address for net.Dial.
func (u URL) Address() string {
	host := u.Host
	if u.Zone != "" {
		host += "%" + u.Zone
	}
	return net.JoinHostPort(host, strconv.Itoa(int(u.Port)))
}

// Authorization returns the Authorization header for user and password (RFC 7617), or "" without
// them.
func (u URL) Authorization() string {
	if u.IsSecretless() {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(unescape(u.User)+":"+unescape(u.Password)))
}

// String returns the URL as it is stored, shown and sent.
func (u URL) String() string {
	text := "http://"
	if u.Secure {
		text = "https://"
	}
	if !u.IsSecretless() {
		text += u.User
		if u.Password != "" {
			text += ":" + u.Password
		}
		text += "@"
	}
	host := u.HostPort()
	if u.Zone != "" {
		host = strings.Replace(host, "]", "%25"+u.Zone+"]", 1)
	}
	return text + host + u.Target
}

// NormalURL returns text in the form that ParseURL understands. It returns what ParseURL refuses
// unchanged, so that Validate can say why.
func NormalURL(text string) string {
	u, err := ParseURL(text)
	if err != nil {
		return text
	}
	return u.String()
}

// masked replaces secrets in displayed text.
const masked = "xxxxx"

// MaskURL returns text with its secret masked: the password, or the user if the URL has no
// password, as in https://TOKEN@example.com/.
func MaskURL(text string) string {
	u, err := ParseURL(text)
	switch {
	case err != nil && strings.Contains(text, "@"):
		return masked
	case err != nil || u.IsSecretless():
		return text
	case u.Password != "":
		u.Password = masked
	default:
		u.User = masked
	}
	return u.String()
}

// The bytes that need no escape in each part of a URL (RFC 3986). WHATWG escapes ' in queries, too.
const (
	unreserved = "-._~"
	pathBytes  = unreserved + "!$&'()*+,;=:@/"
	queryBytes = unreserved + "!$&()*+,;=:@/?"
	userBytes  = unreserved + "!$&'()*+,"
)

// escape percent-encodes everything except letters, digits and the bytes in keep. Existing escapes
// are unchanged.
func escape(text, keep string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		if isWordByte(c, keep) || c == '%' && escapesAt(text, i) {
			out = append(out, c)
			continue
		}
		out = append(out, '%', digits[c>>4], digits[c&15])
	}
	return string(out)
}

// escapesAt reports whether text has a percent sign and two hexadecimal digits at i.
func escapesAt(text string, i int) bool {
	return i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2])
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// unescape undoes escape.
func unescape(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// withoutDots returns a path, which has a leading slash, without its segments "." and "..", escaped
// or not.
func withoutDots(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}
