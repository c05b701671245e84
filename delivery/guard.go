package delivery

import (
	"errors"
	"net/netip"
	"slices"
)

var (
	// errBlocked means that a URL has an address that is not to be delivered to.
	errBlocked = errors.New("the address is private or reserved and not allowed as a destination")

	// errBlockedName means that a name leads only to such addresses. Customers read of it what they
	// read of a name that does not exist: which names our own network knows, and what they stand
	// for, is nobody's business.
	errBlockedName = errors.New("the name leads only to addresses that are private or reserved and not allowed as destinations")
)

// guard says which addresses may be delivered to.
type guard struct {
	allow []netip.Prefix // although they are blocked
	deny  []netip.Prefix // although they are on the Internet, or allowed
}

// blockedNetworks are not on the public Internet: whoever could make us connect there would reach
// what is behind our firewall. They are from IANA's special-purpose registries (RFC 6890) and, in
// IPv6, all that is not global unicast.
var blockedNetworks = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	// Clouds use these public ranges for services that only their own machines reach: IBM's,
	// Equinix's metadata.
	"161.26.0.0/16", "166.8.0.0/14", "192.80.8.124/32",
)

// metadata are the addresses at which clouds hand credentials and configuration to their machines,
// or run agents for them: blocked even within an allowed range, unless the address itself is
// allowed.
var metadata = parsePrefixes(
	"169.254.169.254/32",                       // AWS, Azure, Google, Oracle, IBM, DigitalOcean, Hetzner, OpenStack and others
	"169.254.169.253/32", "169.254.169.123/32", // AWS: DNS, time
	"169.254.170.2/32", "169.254.170.23/32", // AWS: credentials of ECS tasks, of EKS pods
	"fd00:ec2::/32",                       // AWS, all of these in IPv6
	"168.63.129.16/32",                    // Azure: WireServer
	"fd20:ce::254/128",                    // Google
	"100.100.100.200/32",                  // Alibaba
	"192.0.0.192/32",                      // Oracle
	"169.254.0.23/32",                     // Tencent
	"169.254.42.42/32", "fd00:42::42/128", // Scaleway
	"fd00:a9fe:a9fe::1/128", // Akamai
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

// allowed reports whether an address may be delivered to. It judges an IPv4 address that is written
// in an IPv6 one, too: a gateway would forward there.
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
	case contains(metadata, address):
		return slices.Contains(g.allow, netip.PrefixFrom(address, address.BitLen()))
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
