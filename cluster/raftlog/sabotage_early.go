//go:build sabotage_early

package raftlog

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const noSync = false

var storing sync.Mutex // keeps the order

// StoreLogs returns at once and writes a moment later, so that events are acknowledged before they
// are on any disk.
func (s *Store) StoreLogs(logs []*raft.Log) error {
	storing.Lock()
	go func() {
		defer storing.Unlock()
		time.Sleep(60 * time.Millisecond)
		_ = s.storeLogs(logs)
	}()
	return nil
}
