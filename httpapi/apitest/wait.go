package apitest

import (
	"fmt"
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
	if err := Await(Patience, what, is); err != nil {
		t.Fatal(err)
	}
}

// Await is WaitFor for who can do something about what does not come true in time.
func Await(patience time.Duration, what string, is func() bool) error {
	for deadline := time.Now().Add(patience); !is(); time.Sleep(waitPause) {
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s still waiting: %s", patience, what)
		}
	}
	return nil
}
