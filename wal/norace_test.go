//go:build !race

package wal

// worstPerEntry is how many of the worst commands of a kind are in one entry.
const worstPerEntry = commandsPerEntry
