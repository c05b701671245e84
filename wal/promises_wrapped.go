//go:build !sabotage_wrapped

package wal

// looksInside applies the watermarks of the disk to the command inside another one.
const looksInside = true
