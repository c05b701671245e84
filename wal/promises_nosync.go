//go:build !sabotage_nosync

package wal

// The files promises_*.go hold switches that builds with a tag turn the other way in sabotage_*.go,
// to show that package faults notices.

// noSync makes Badger commit without syncing.
const noSync = false
