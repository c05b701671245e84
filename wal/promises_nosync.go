//go:build !sabotage_nosync

package wal

// The files promises_*.go say what a build with a tag breaks on purpose, in sabotage_*.go, to show
// that package faults finds it.

// noSync has Badger commit without syncing.
const noSync = false
