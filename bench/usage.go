package bench

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Usage is what the nodes given have used during a run. All of it but Device is what they say of
// themselves in their metrics, so they may run elsewhere. Bytes and CPU per event are for each
// event that was accepted.
type Usage struct {
	Nodes        int           `json:"nodes"`
	CPU          time.Duration `json:"cpuNs"` // in user and kernel mode, all nodes together
	CPUPerEvent  time.Duration `json:"cpuPerEventNs"`
	Resident     int64         `json:"residentBytes"`       // the sum of each node's largest, of one sample a second
	Data         int64         `json:"dataBytes,omitempty"` // by which the data folders grew; 0: a relay
	DataPerEvent int64         `json:"dataBytesPerEvent,omitempty"`

	// What all disks of this machine have written, for whatever process, if all nodes run on it
	// and the system says so.
	Device         int64 `json:"deviceBytes,omitempty"`
	DevicePerEvent int64 `json:"deviceBytesPerEvent,omitempty"`
}

const sampleInterval = time.Second // between two looks at the memory of the nodes

// meter measures what nodes use, from newMeter to stop.
type meter struct {
	token  string
	nodes  []*meteredNode
	device int64 // written by the disks of this machine at the start; -1: not known
	quit   chan struct{}
	done   chan struct{}
}

// meteredNode is a node, and its metrics at the start.
type meteredNode struct {
	url      string
	began    nodeUsage
	resident int64 // the largest so far
}

// nodeUsage is what a node's metrics say about its process.
type nodeUsage struct {
	started  float64 // seconds since the Unix epoch
	cpu      time.Duration
	resident int64
	data     int64
}

// newMeter reads the metrics of the nodes, of which several URLs may lead to one, and goes on to
// do so each second.
func newMeter(urls []string, token string) (*meter, error) {
	m := &meter{token: token, device: -1, quit: make(chan struct{}), done: make(chan struct{})}
	seen := make(map[string]bool)
	for _, url := range urls {
		url = strings.TrimRight(url, "/")
		var health struct{ Node string }
		if err := (&site{base: url, token: token}).call("GET", "/api/v1/health", nil, 200, &health); err != nil {
			return nil, err
		}
		if seen[health.Node] {
			continue
		}
		seen[health.Node] = true
		usage, err := readUsage(url, token)
		if err != nil {
			return nil, err
		}
		m.nodes = append(m.nodes, &meteredNode{url: url, began: usage, resident: usage.resident})
	}
	if written, ok := thisMachine.diskWritten(); ok && areLocal(urls) {
		m.device = written
	}
	go m.watch()
	return m, nil
}

func readUsage(url, token string) (u nodeUsage, err error) {
	found, err := scrape(url, token)
	if err != nil {
		return u, err
	}
	values, err := found.of("process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes")
	if err != nil {
		return u, fmt.Errorf("%s: %w", url, err)
	}
	cpu := time.Duration(values[1] * float64(time.Second))
	return nodeUsage{values[0], cpu, int64(values[2]), int64(found["hookwheel_data_bytes"])}, nil // which the relay lacks
}

// watch samples the memory of the nodes until stop. A node that does not answer is left to stop,
// which reports it.
func (m *meter) watch() {
	defer close(m.done)
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-ticker.C:
		}
		for _, n := range m.nodes {
			if usage, err := readUsage(n.url, m.token); err == nil {
				n.resident = max(n.resident, usage.resident)
			}
		}
	}
}

// stop ends the measurement, during which so many events were accepted.
func (m *meter) stop(accepted int) (*Usage, error) {
	close(m.quit)
	<-m.done
	u := &Usage{Nodes: len(m.nodes)}
	for _, n := range m.nodes {
		ended, err := readUsage(n.url, m.token)
		if err != nil {
			return nil, err
		}
		if ended.started != n.began.started {
			return nil, fmt.Errorf("%s was started again meanwhile", n.url)
		}
		u.CPU += ended.cpu - n.began.cpu
		u.Resident += max(n.resident, ended.resident)
		u.Data += ended.data - n.began.data
	}
	if written, ok := thisMachine.diskWritten(); ok && m.device >= 0 {
		u.Device = written - m.device
	}
	if accepted > 0 {
		u.CPUPerEvent = u.CPU / time.Duration(accepted)
		u.DataPerEvent = u.Data / int64(accepted)
		u.DevicePerEvent = u.Device / int64(accepted)
	}
	return u, nil
}

// areLocal reports whether all URLs lead to this machine.
func areLocal(urls []string) bool {
	return !slices.ContainsFunc(urls, func(link string) bool { return !isLocal(link) })
}

// isLocal reports whether a URL leads to this machine.
func isLocal(link string) bool {
	u, err := url.Parse(link)
	if err != nil {
		return false
	}
	addresses, err := net.DefaultResolver.LookupIPAddr(context.Background(), u.Hostname())
	if err != nil || len(addresses) == 0 {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if !address.IP.IsLoopback() && !containsIP(own, address.IP) {
			return false
		}
	}
	return true
}

func containsIP(list []net.Addr, ip net.IP) bool {
	for _, address := range list {
		if network, ok := address.(*net.IPNet); ok && network.IP.Equal(ip) {
			return true
		}
	}
	return false
}
