package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// controlPatience is how long to wait for an answer to the control query.
const controlPatience = 2 * time.Second

// errNoNameServer means that none of our name servers answers any query.
var errNoNameServer = errors.New("no name server answers")

// hostsFile resolves only the names in this machine's hosts file. It is asked first because net
// does not find names without a dot there if they are written as absolute.
var hostsFile = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("only the hosts file is asked")
}}

// resolve returns the addresses of a name to which deliveries are allowed, alternating between
// families. The name is absolute: customers must not use the search domains of this machine.
func (d *dialer) resolve(ctx context.Context, now *guard, host string) ([]netip.Addr, error) {
	began := time.Now()
	all, err := d.lookup(ctx, host)
	if err != nil {
		return nil, &stepError{stepResolve, d.whose(err, began)}
	}
	d.answered.Store(time.Now().UnixNano())
	list := all[:0]
	for _, address := range all {
		if now.allowed(address) {
			list = append(list, address.Unmap())
		}
	}
	if len(list) == 0 {
		return nil, errBlockedName
	}
	return interleave(list), nil
}

func (d *dialer) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if !strings.Contains(host, ".") {
		if all, err := hostsFile.LookupNetIP(ctx, "ip", host); err == nil {
			return all, nil
		}
	}
	return d.resolver.LookupNetIP(ctx, "ip", host+".")
}

// whose adds errNoNameServer to err if a lookup failed because no name server has answered any
// query since it began. If name servers answer other queries, or respond with a failure, the fault
// is with the servers of the name.
func (d *dialer) whose(err error, began time.Time) error {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns) || !dns.IsTimeout && !isUnreachable(dns):
		d.answered.Store(time.Now().UnixNano())
		return err
	case d.answered.Load() > began.UnixNano() || errors.Is(err, context.Canceled):
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlPatience)
	defer cancel()
	_, controlErr := d.resolver.LookupNS(ctx, ".")
	if errors.As(controlErr, &dns) && (dns.IsTimeout || isUnreachable(dns)) {
		return errors.Join(errNoNameServer, err)
	}
	d.answered.Store(time.Now().UnixNano())
	return err
}

// interleave alternates between the address families, beginning with that of the first address (RFC
// 8305, section 4).
func interleave(list []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	first := list[0].Is4()
	for _, address := range list {
		if address.Is4() == first {
			families[0] = append(families[0], address)
		} else {
			families[1] = append(families[1], address)
		}
	}
	turns := make([]netip.Addr, 0, len(list))
	for i := range list {
		for _, family := range families {
			if i < len(family) {
				turns = append(turns, family[i])
			}
		}
	}
	return turns
}
