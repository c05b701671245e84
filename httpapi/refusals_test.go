package httpapi_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestRefusalsAreDelayed has many clients guess tokens: they get no more responses than a node
// gives them, while whoever has a token is served.
func TestRefusalsAreDelayed(t *testing.T) {
	const clients, period, burst, rate = 40, time.Second, 200, 100
	a := apiStart(t)
	begun := time.Now()
	var refused atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for time.Since(begun) < period {
				if response, _ := a.raw("GET", "/api/v1/app", "Bearer wrong", nil); response.StatusCode != http.StatusUnauthorized {
					t.Errorf("got %d", response.StatusCode)
				}
				refused.Add(1)
			}
		})
	}
	served := 0
	for ; time.Since(begun) < period; served++ {
		for path, want := range map[string]int{"/auth/whoami": http.StatusOK, "/nothing": http.StatusNotFound} {
			if response, _ := a.raw("GET", "/api/v1"+path, "Bearer "+apiToken, nil); response.StatusCode != want {
				t.Errorf("%s: got %d", path, response.StatusCode)
			}
		}
	}
	all.Wait()
	took := time.Since(begun)
	if most := burst + int64(rate*took.Seconds()) + clients; refused.Load() > most {
		t.Errorf("%d refusals in %s, and %d may be", refused.Load(), took, most)
	}
	// If they were delayed as well, there would be four at most in the time.
	if each := int(refused.Load()) / clients; 2*served < min(each, 8) {
		t.Errorf("%d valid requests in %s, and %d refusals of each other client", 2*served, took, each)
	}
}
