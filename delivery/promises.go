//go:build !sabotage_linger

package delivery

// The file sabotage.go says what a build with a tag breaks on purpose, to show that package faults
// finds it.

// discardsUnsent has the kernel discard what a receiver has not got when an attempt at it has
// ended.
const discardsUnsent = true
