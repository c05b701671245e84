package webhook

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// hostNames converts names to the form that the DNS uses: lower case, full-width and composed
// letters in their plain form, anything outside ASCII as xn--. It refuses mixed directions, joiners
// that join nothing, and characters that are not letters in any script.
var hostNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false),
	idna.CheckJoiners(true), idna.BidiRule(), idna.VerifyDNSLength(true))

// maxHostText limits a host as it is written, in bytes: the 253 characters of a name in UTF-8. To
// convert a longer one can take as long as its length squared.
const maxHostText = 4 * 253

// parseHost parses a host that is not in brackets: a name, or an IPv4 address in any form that
// inet_aton(3) and browsers accept.
func (u *URL) parseHost(text string) error {
	text = unescape(text)
	if text == "" {
		return errNoURL
	}
	if len(text) > maxHostText || !utf8.ValidString(text) || strings.ContainsAny(text, "%\x00") {
		return errBadHost
	}
	name, err := hostNames.ToASCII(text)
	if err != nil {
		return errBadHost
	}
	name = strings.TrimSuffix(name, ".")
	if endsInNumber(name) {
		address, ok := parseIPv4(name)
		if !ok {
			return Invalid("url", "the host of the URL ends in a number, but is not an IPv4 address")
		}
		u.Host = address.String()
		return nil
	}
	if !validHostName(name) {
		return errBadHost
	}
	u.Host = name
	return nil
}

var errBadHost = Invalid("url", "the host of the URL is not a name that the DNS could have: at most 253 letters, digits, hyphens and "+
	"underscores, with dots between labels of at most 63; other letters may be written as they are, or as xn--")

// validHostName accepts letters, digits, hyphens and underscores, but no xn-- label that encodes
// plain ASCII or is not the canonical encoding of a name.
func validHostName(name string) bool {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
		if !strings.HasPrefix(label, "xn--") {
			continue
		}
		plain, err := hostNames.ToUnicode(label)
		if err != nil || strings.HasPrefix(plain, "xn--") {
			return false
		}
		if again, err := hostNames.ToASCII(plain); err != nil || again != label {
			return false
		}
	}
	return name != ""
}

// endsInNumber reports whether a host must be an IPv4 address, valid or not.
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return false
	}
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	digits, found := strings.CutPrefix(last, "0x")
	return found && strings.Trim(digits, "0123456789abcdef") == ""
}

// parseIPv4 parses one to four numbers, each decimal, octal (0…) or hexadecimal (0x…), of which the
// last fills the remaining bytes.
func parseIPv4(name string) (address netip.Addr, ok bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return address, false
	}
	var value uint64
	for i, part := range parts {
		number, ok := parseIPv4Number(part)
		room := uint64(math.MaxUint8)
		if i == len(parts)-1 {
			room = math.MaxUint32 >> (8 * i)
		}
		if !ok || number > room {
			return address, false
		}
		if i == len(parts)-1 {
			value += number
		} else {
			value += number << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

func parseIPv4Number(text string) (number uint64, ok bool) {
	if text == "" {
		return 0, false
	}
	base := 10
	if digits, found := strings.CutPrefix(text, "0x"); found {
		text, base = digits, 16
	} else if len(text) > 1 && text[0] == '0' {
		text, base = text[1:], 8
	}
	if text == "" { // 0x is 0
		return 0, true
	}
	number, err := strconv.ParseUint(text, base, 64)
	return number, err == nil
}
