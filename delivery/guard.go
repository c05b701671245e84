package delivery

import (
	"errors"
	"net/netip"
	"slices"
)

var (
	// errBlocked means that a URL has an address to which deliveries are not allowed.
	errBlocked = errors.New("the address is private or reserved and not allowed as a destination")

	// errBlockedName means that a name resolves only to such addresses. Customers see the same text
	// as for a name that does not exist, so that they can't find out which names exist in our
	// network and what they resolve to.
	errBlockedName = errors.New("the name resolves only to addresses that are private or reserved and not allowed as destinations")
)

// guard decides to which addresses deliveries are allowed.
type guard struct {
	allow []netip.Prefix // allowed although they are blocked by default
	deny  []netip.Prefix // blocked even if they are public or in allow
}

// blockedNetworks are not on the public Internet: a customer who could make us connect there would
// reach hosts behind our firewall. They are those of IANA's special-purpose registries (RFC 6890)
// and, in IPv6, everything that is not global unicast.
var blockedNetworks = parsePrefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	// Public ranges that clouds use for services that only their own machines can reach: IBM's, and
	// Equinix's metadata.
	"161.26.0.0/16", "166.8.0.0/14", "192.80.8.124/32",
)

// metadata are the addresses at which clouds serve credentials and configuration to their machines,
// or run agents for them. They are blocked even within an allowed range, unless the address itself
// is allowed.
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

// allowed reports whether deliveries to an address are allowed. It also checks an IPv4 address that
// is embedded in an IPv6 address, because a gateway would forward to it.
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
