//go:build !linux

package node

// RelaxTimers does nothing: how precise timers are can be chosen under Linux only.
func RelaxTimers() error { return nil }
