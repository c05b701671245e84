//go:build !linux

package memdir

import "testing"

// New returns a folder for the test. It is removed at the end.
func New(t testing.TB) string {
	t.Helper()
	return t.TempDir()
}
