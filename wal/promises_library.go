//go:build !sabotage_library

package wal

// endsOnLoggedErrors makes the node end when Badger only logs that its disk has failed.
const endsOnLoggedErrors = true
