package apitest

import (
	"testing"
	"time"
)

const (
	Patience  = 2 * time.Minute // with anything that must happen in the end
	waitPause = 20 * time.Millisecond
)

// WaitFor waits until something is true.
func WaitFor(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !is(); time.Sleep(waitPause) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still waiting: %s", Patience, what)
		}
	}
}
