//go:build sabotage_library

package wal

const endsOnLoggedErrors = false
