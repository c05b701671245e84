//go:build !sabotage_nosync

package wal

// noSync has Badger commit without syncing. A build with the tag sabotage_nosync breaks that promise on purpose, to show that package
// faults finds it.
const noSync = false
