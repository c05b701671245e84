//go:build !sabotage_nosync && !sabotage_early

package cluster

import "github.com/hashicorp/raft"

// What stands here is what a build with a tag breaks on purpose, to show that package faults finds it.

// noSync has the log written without fsync.
const noSync = false

// StoreLogs returns when the entries are on stable storage.
func (s *logStore) StoreLogs(logs []*raft.Log) error { return s.storeLogs(logs) }
