// Package wait has tests wait for what other goroutines, nodes and processes do.
package wait

import (
	"fmt"
	"testing"
	"time"
)

const (
	Patience = 2 * time.Minute       // with anything that must happen in the end
	Pause    = 20 * time.Millisecond // between two looks
)

// For waits until something is true.
func For(t testing.TB, what string, is func() bool) {
	t.Helper()
	if err := Until(Patience, what, is); err != nil {
		t.Fatal(err)
	}
}

// Until is For where the caller can do something about what does not come true in time.
func Until(patience time.Duration, what string, is func() bool) error {
	for deadline := time.Now().Add(patience); !is(); time.Sleep(Pause) {
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still waiting: %s", patience, what)
		}
	}
	return nil
}
