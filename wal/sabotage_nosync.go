//go:build sabotage_nosync

package wal

const noSync = true
