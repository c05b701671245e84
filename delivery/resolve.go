package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"
)

// controlPatience is how long the name servers have to answer the control question.
const controlPatience = 2 * time.Second

// errNoNameServer means that no name server of ours answers, whatever it is asked.
var errNoNameServer = errors.New("no name server answers")

// hostsFile knows the names of this machine's hosts file only. It is asked first because net finds
// names without a dot there only if they are not written as absolute.
var hostsFile = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("only the hosts file is asked")
}}

// resolve returns the addresses of a name that may be delivered to, families in turn. The name is
// absolute: the search domains of this machine are not for customers.
func (d *dialer) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	began := time.Now()
	all, err := d.lookup(ctx, host)
	if err != nil {
		return nil, &stepError{stepResolve, d.whose(err, began)}
	}
	d.answered.Store(time.Now().UnixNano())
	list := all[:0]
	for _, address := range all {
		if d.guard.allowed(address) {
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

// whose returns errNoNameServer if a look-up failed because no name server answered any question
// since it began. A server that is silent about one name only leaves it to the name's own servers,
// and so does one that says that it failed.
func (d *dialer) whose(err error, began time.Time) error {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns) || !dns.IsTimeout && !unreachable(dns):
		d.answered.Store(time.Now().UnixNano())
		return err
	case d.answered.Load() > began.UnixNano() || errors.Is(err, context.Canceled):
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlPatience)
	defer cancel()
	_, controlErr := d.resolver.LookupNS(ctx, ".")
	if errors.As(controlErr, &dns) && (dns.IsTimeout || unreachable(dns)) {
		return errors.Join(errNoNameServer, err)
	}
	d.answered.Store(time.Now().UnixNano())
	return err
}

// interleave has the families take turns, beginning with that of the first address (RFC 8305,
// section 4).
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
