//go:build !sabotage_nosync && !sabotage_early

package raftlog

import "github.com/hashicorp/raft"

// The promises in promises_*.go are broken on purpose by sabotage_*.go, in builds with a tag, to
// show that package faults detects it.

// noSync makes bolt write the log without fsync.
const noSync = false

// StoreLogs returns when the entries are on stable storage.
func (s *Store) StoreLogs(logs []*raft.Log) error { return s.storeLogs(logs) }
