//go:build sabotage_wrapped

package wal

const looksInside = false
