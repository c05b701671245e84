//go:build race

package wal

// worstPerEntry is how many of the worst commands of a kind are in one entry: fewer than there may
// be, for the race detector makes them take ten times as long.
const worstPerEntry = commandsPerEntry / 8
