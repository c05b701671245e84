package delivery

import (
	"net/netip"
	"strings"
)

// receivers are names, which include their subdomains, and addresses; "*" includes everything.
type receivers []string

// include reports whether the host of a URL is among the receivers.
func (list receivers) include(host string) bool {
	address, err := netip.ParseAddr(host)
	for _, item := range list {
		item = strings.ToLower(item)
		other, otherErr := netip.ParseAddr(item)
		switch {
		case item == "*":
			return true
		case err == nil || otherErr == nil:
			if err == nil && otherErr == nil && address == other {
				return true
			}
		case host == item || strings.HasSuffix(host, "."+item):
			return true
		}
	}
	return false
}
