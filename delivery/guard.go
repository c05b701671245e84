package delivery

import (
	"errors"
	"net/netip"
)

// errBlocked means that a name leads only to addresses that are not to be delivered to. The text has no address: what names of our
// own network stand for is nobody's business.
var errBlocked = errors.New("the address is private or reserved and not allowed as a destination")

// guard says which addresses may be delivered to.
type guard struct {
	allow []netip.Prefix // although they are blocked
	deny  []netip.Prefix // although they are on the Internet, or allowed
}

// blockedNetworks are not on the public Internet: who could make us connect there would reach what stands behind our
// firewall. From the special-purpose registries of IANA (RFC 6890).
var blockedNetworks = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

var (
	nat64   = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixToIV = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

func parsePrefixes(list ...string) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(list))
	for i, text := range list {
		prefixes[i] = netip.MustParsePrefix(text)
	}
	return prefixes
}

// allowed judges an IPv4 address that is written in an IPv6 one, too: a gateway would forward there.
func (g *guard) allowed(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	bytes := address.As16()
	switch {
	case contains(g.deny, address):
		return false
	case nat64.Contains(address):
		return g.allowed(netip.AddrFrom4([4]byte(bytes[12:])))
	case sixToIV.Contains(address) && !g.allowed(netip.AddrFrom4([4]byte(bytes[2:6]))):
		return false
	case contains(g.allow, address):
		return true
	default:
		return !contains(blockedNetworks, address)
	}
}

func contains(list []netip.Prefix, address netip.Addr) bool {
	for _, prefix := range list {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
