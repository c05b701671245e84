//go:build !sabotage_nosync && !sabotage_early

package raftlog

import "github.com/hashicorp/raft"

// The files promises_*.go say what a build with a tag breaks on purpose, in sabotage_*.go, to show
// that package faults finds it.

// noSync has the log written without fsync.
const noSync = false

// StoreLogs returns when the entries are on stable storage.
func (s *Store) StoreLogs(logs []*raft.Log) error { return s.storeLogs(logs) }
