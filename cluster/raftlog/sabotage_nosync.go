//go:build sabotage_nosync

package raftlog

import "github.com/hashicorp/raft"

const noSync = true

// StoreLogs returns when the operating system has the entries.
func (s *Store) StoreLogs(logs []*raft.Log) error { return s.storeLogs(logs) }
