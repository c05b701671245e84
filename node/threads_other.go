//go:build !linux

package node

// TuneThreads does nothing: threads can be tuned under Linux only.
func TuneThreads() error { return nil }
