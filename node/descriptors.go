package node

import (
	"fmt"
	"syscall"
)

const (
	storeDescriptors = 448 // for the store, the log, and the other nodes, at least
	otherDescriptors = 320 // of these, not for files of the store; strangers can take 160 at the port for the other nodes, and deliveries 64
	leastConnections = 64  // that the API must have descriptors for

	// A worker of deliveries has one for its connection and one for an idle connection, or two to
	// look up a name.
	workerDescriptors = 2
)

// descriptors divides the file descriptors of this process. Some are kept for the store and for
// deliveries, which must not fail however many connections there are.
type descriptors struct {
	limit   int
	workers int // of deliveries
}

// openDescriptors raises the limit as far as it may be.
func openDescriptors(workers int) (d descriptors, err error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return d, fmt.Errorf("reading the limit of file descriptors: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return d, fmt.Errorf("raising the limit of file descriptors to %d: %w", limit.Max, err)
		}
	}
	d = descriptors{limit: int(min(limit.Cur, 1<<30)), workers: workers}
	return d, d.check(0)
}

// forStore returns how many are kept if the files of the store need so many.
func (d descriptors) forStore(files int) int {
	return max(storeDescriptors, otherDescriptors+files)
}

// forClients returns the number of the first one that is not for clients of the API.
func (d descriptors) forClients(files int) int {
	return d.limit - workerDescriptors*d.workers - d.forStore(files)
}

// check returns an error if there are too few to start.
func (d descriptors) check(files int) error {
	if d.forClients(files) >= leastConnections {
		return nil
	}
	kept := d.forStore(files)
	return fmt.Errorf("this process may have %d file descriptors, and needs %d: %d for the store and its log, %d for delivery.workers and %d for the API. "+
		"Raise the limit (ulimit -n, or LimitNOFILE of systemd) or lower delivery.workers", d.limit, kept+workerDescriptors*d.workers+leastConnections, kept, workerDescriptors*d.workers, leastConnections)
}
