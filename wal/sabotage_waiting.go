//go:build sabotage_waiting

package wal

const keepsWaiting = false
