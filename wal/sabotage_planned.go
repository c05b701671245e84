//go:build sabotage_planned

package wal

const notesUntried = false
