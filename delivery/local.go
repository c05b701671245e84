package delivery

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
)

// The functions here distinguish failures of this machine from those of a receiver: the former must
// not use up a customer's attempts.

// errNoRoute means that this machine has no route to any network.
var errNoRoute = errors.New("this machine has no route to any network")

// resources are the errors of a kernel that has run out of a resource.
var resources = []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EAGAIN, syscall.ENETDOWN}

// isExhausted reports whether this machine lacked descriptors, memory, ports or its network.
func isExhausted(err error) bool {
	return slices.ContainsFunc(resources, func(errno syscall.Errno) bool { return errors.Is(err, errno) }) || isOutOfPorts(err)
}

// isUnreachable reports whether a query did not reach a name server. The errors of net's resolver
// can be told apart only by their texts.
func isUnreachable(err *net.DNSError) bool {
	ours := append([]syscall.Errno{syscall.ECONNREFUSED, syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL}, resources...)
	return slices.ContainsFunc(ours, func(errno syscall.Errno) bool { return strings.Contains(err.Err, errno.Error()) })
}

// local returns what this machine lacks if that caused err; otherwise nil.
func local(err error) error {
	switch {
	case isExhausted(err), errors.Is(err, errNoNameServer):
		return err
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		if !hasRoute("udp4", "198.41.0.4:53") && !hasRoute("udp6", "[2001:503:ba3e::2:30]:53") { // a root name server
			return errors.Join(errNoRoute, err)
		}
	}
	return nil
}

// isOutOfPorts reports whether no port was left for a connection. The same error can mean that this
// machine has no address of the family.
func isOutOfPorts(err error) bool {
	var op *net.OpError
	return errors.Is(err, syscall.EADDRNOTAVAIL) && errors.As(err, &op) && op.Addr != nil && hasRoute("udp", op.Addr.String())
}

// hasRoute reports whether this machine has a route to an address. It sends no packet.
func hasRoute(network, address string) bool {
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// worse returns the more informative of two failures to connect: that this machine lacks a
// resource, or else anything other than a missing route or a timeout.
func worse(a, b error) error {
	says := func(err error) bool {
		return !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, context.Canceled)
	}
	if a == nil || isExhausted(b) && !isExhausted(a) || says(b) && !says(a) {
		return b
	}
	return a
}
