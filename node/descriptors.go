package node

import (
	"fmt"
	"syscall"
)

const (
	storeDescriptors = 448 // for the store, the log, and the other nodes
	leastConnections = 64  // that the API must have descriptors for
)

// clientDescriptors is the number of the first file descriptor that is not for clients of the API:
// those from there on are kept for the store and for deliveries, which must not fail however many
// connections there are.
func clientDescriptors(workers int) (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of file descriptors: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return 0, fmt.Errorf("raising the limit of file descriptors to %d: %w", limit.Max, err)
		}
	}
	return divideDescriptors(limit.Cur, workers)
}

// divideDescriptors is clientDescriptors for a limit.
func divideDescriptors(limit uint64, workers int) (int, error) {
	kept := storeDescriptors + workers
	if limit < uint64(kept+leastConnections) {
		return 0, fmt.Errorf("this process may have %d file descriptors, and needs %d: %d for the store and its log, %d for delivery.workers and %d for the API. "+
			"Raise the limit (ulimit -n, or LimitNOFILE of systemd) or lower delivery.workers", limit, kept+leastConnections, storeDescriptors, workers, leastConnections)
	}
	return int(min(limit-uint64(kept), 1<<30)), nil
}
