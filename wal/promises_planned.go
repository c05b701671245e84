//go:build !sabotage_planned

package wal

// notesUntried has lines of a retry set noted with their message also when no attempt was recorded.
const notesUntried = true
