//go:build !sabotage_linger

package delivery

// sabotage.go breaks this promise on purpose, in a build with its tag, to show that package faults
// detects it.

// discardsUnsent makes the kernel discard what the receiver has not received when an attempt ends.
const discardsUnsent = true
