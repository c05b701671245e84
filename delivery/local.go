package delivery

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
)

// What follows tells what this machine lacks from what a receiver does: it must not use up a
// customer's attempts.

// errNoRoute means that this machine has no way to any network.
var errNoRoute = errors.New("this machine has no route to any network")

// resources are the errors of a kernel that has run out of something.
var resources = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN, syscall.ENETDOWN}

// exhausted reports whether this machine lacked descriptors, memory, ports or its network.
func exhausted(err error) bool {
	return slices.ContainsFunc(resources, func(errno syscall.Errno) bool { return errors.Is(err, errno) }) || portless(err)
}

// unreachable reports whether a question did not get as far as a name server. The errors of net's
// resolver are texts.
func unreachable(err *net.DNSError) bool {
	ours := append([]syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL}, resources...)
	return slices.ContainsFunc(ours, func(errno syscall.Errno) bool { return strings.Contains(err.Err, errno.Error()) })
}

// local returns what this machine lacks, if that is why err happened; else nil.
func local(err error) error {
	switch {
	case exhausted(err), errors.Is(err, errNoNameServer):
		return err
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		if !routed("udp4", "198.41.0.4:53") && !routed("udp6", "[2001:503:ba3e::2:30]:53") { // a root name server
			return errors.Join(errNoRoute, err)
		}
	}
	return nil
}

// portless reports whether there was no port left for a connection, rather than no address of ours
// for its family.
func portless(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.EADDRNOTAVAIL) && errors.As(err, &op) && op.Addr != nil && routed("udp", op.Addr.String())
}

// routed reports whether packets could leave for an address; none does.
func routed(network, address string) bool {
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// worse picks of two failures to connect what says most: that we lack something, else anything but
// that there is no way to an address, or no time left for it.
func worse(a, b error) error {
	says := func(err error) bool {
		return !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, context.Canceled)
	}
	if a == nil || exhausted(b) && !exhausted(a) || says(b) && !says(a) {
		return b
	}
	return a
}
