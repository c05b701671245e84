package node

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const spaceInterval = time.Second // between two looks at the room that this node has

// watchSpace says in the log when this node begins to refuse new events for want of room, and when
// it takes them again, until end is called. The same is in the metrics.
func (n *Node) watchSpace(metrics prometheus.Registerer) (end func() error) {
	gauge := func(name, help string, value func() int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	space, gate := n.store.Space(), n.store.Gate()
	metrics.MustRegister(
		gauge("hookwheel_store_bytes", "What all records take, to which storage.max_size applies.", space.Size),
		gauge("hookwheel_data_bytes", "What the data folder takes of the disk: the store, what it has yet to compact, and the Raft log.", space.Used),
		gauge("hookwheel_free_bytes", "Free space of the disk.", func() int64 { free, _ := space.Free(); return free }),
		gauge("hookwheel_storage_full", "1 while this node has no room for new events.", func() int64 {
			if gate.Full() != "" {
				return 1
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "hookwheel_refused_full_total",
			Help: "On the leader: commands that were refused with 507, because it or another node had no room."}, func() float64 { return float64(gate.Refused()) }),
	)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		n.reportSpace(stop)
	}()
	return func() error {
		close(stop)
		<-stopped
		return nil
	}
}

func (n *Node) reportSpace(stop <-chan struct{}) {
	space, gate := n.store.Space(), n.store.Gate()
	var full, paused bool
	tick := time.NewTicker(spaceInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		reason := gate.Full()
		switch was := full; {
		case reason != "" && !was:
			n.log.Warn("no room for new events: they are refused with 507", "reason", reason, "dataBytes", space.Used(), "storeBytes", space.Size())
		case reason == "" && was:
			n.log.Info("there is room for new events again", "dataBytes", space.Used(), "storeBytes", space.Size())
		}
		full = reason != ""
		switch critical := space.IsCritical(); {
		case critical && !paused:
			n.log.Error("the disk is nearly full: no attempts are made until there is room to record them")
			paused = true
		case !critical && paused:
			n.log.Info("the disk has room again: attempts go on")
			paused = false
		}
	}
}
