//go:build sabotage_linger

package delivery

const discardsUnsent = false
