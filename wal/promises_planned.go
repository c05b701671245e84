//go:build !sabotage_planned

package wal

// notesUntried also indexes a line of a retry set by its message when no attempt was recorded.
const notesUntried = true
