package webhook

import (
	"strings"
	"testing"
	"time"
)

// A host of many different letters is refused without being converted, which would take as long as
// the square of their number.
func TestLongHostIsQuick(t *testing.T) {
	var host strings.Builder
	for r := rune(0x4e00); host.Len() < MaxURL-20; r++ {
		host.WriteRune(r)
	}
	begun := time.Now()
	for range 100 {
		if _, err := ParseURL("https://" + host.String() + "/"); err == nil {
			t.Fatal("it is accepted")
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("100 took %s", took)
	}
}
