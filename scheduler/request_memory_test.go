package scheduler

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// watch returns the most bytes that were carried at once until stop is called.
func (c *city) watch() (stop func() (peak int)) {
	end, result := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		for {
			c.s.mu.Lock()
			peak = max(peak, c.s.workers.memory.bytes)
			c.s.mu.Unlock()
			select {
			case <-end:
				result <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(end)
		return <-result
	}
}

// TestLargeRequestsAreBounded has endpoints that never answer be sent large payloads. What is under
// way stays within its bound, and others get theirs at once, large or small.
func TestLargeRequestsAreBounded(t *testing.T) {
	for _, apps := range []int{1, 4, 20} {
		synctest.Test(t, func(t *testing.T) {
			c := newCity(t)
			defer c.close()
			stop := c.watch()
			payload := make([]byte, 1<<20)
			c.open(1, 1, nil)
			for range apps {
				app, _ := c.open(400/apps, 0, func(e webhook.ID) { c.hangs[e] = true })
				c.postLarge(app, payload)
				c.postLarge(app, payload)
			}
			for round := range 10 {
				time.Sleep(2 * time.Second)
				since := time.Now()
				_, small := c.open(3, 1, nil)
				large, endpoints := c.open(3, 0, nil)
				c.postLarge(large, payload)
				time.Sleep(2 * time.Second)
				for _, e := range slices.Concat(small, endpoints) {
					if waited := c.waited(e, since); waited > time.Second {
						t.Errorf("%d applications, round %d: an endpoint of another got nothing for %v", apps, round, waited)
					}
				}
			}
			if peak := stop(); peak > maxRequestBytes+(apps+10)<<20 || peak < maxRequestBytes/8 {
				t.Errorf("%d applications: %d MiB were carried at once", apps, peak>>20)
			}
		})
	}
}

// TestLargeRequestsAllArrive sends more than may be carried at once from each of the records of an
// endpoint; each request goes to its end, and nothing is left that waits.
func TestLargeRequestsAllArrive(t *testing.T) {
	for name, configure := range map[string]func(c *city, e webhook.ID){
		"first attempts": func(*city, webhook.ID) {},
		"retries":        func(c *city, e webhook.ID) { c.failed[e] = func(n int) bool { return n < 3 } },
	} {
		runInBubble(t, name, func(t *testing.T) {
			c := newCity(t)
			defer c.close()
			stop := c.watch()
			var apps, endpoints []webhook.ID
			for range 3 {
				app, list := c.open(100, 0, func(e webhook.ID) { configure(c, e) })
				apps, endpoints = append(apps, app), append(endpoints, list...)
			}
			for range 5 {
				for _, app := range apps {
					c.postLarge(app, make([]byte, 1<<20))
				}
			}
			time.Sleep(20 * time.Minute)
			peak := stop()
			c.s.mu.Lock()
			defer c.s.mu.Unlock()
			if w := &c.s.workers; w.memory.bytes != 0 || len(w.memory.waiting) != 0 || peak > maxRequestBytes {
				t.Errorf("%d bytes are carried and %d applications wait; it was %d MiB at most", w.memory.bytes, len(w.memory.waiting), peak>>20)
			}
			c.shelf.mu.Lock()
			defer c.shelf.mu.Unlock()
			if got, want := len(c.shelf.delivered), 5*len(endpoints); got != want {
				t.Errorf("%d of %d deliveries came", got, want)
			}
			for at, n := range c.shelf.delivered {
				if n != 1 {
					t.Errorf("message %x came %d times", at[0], n)
				}
			}
		})
	}
}

// TestManualLargeRequests resends more than may be carried at once.
func TestManualLargeRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(t)
		defer c.close()
		app, endpoints := c.open(300, 0, func(e webhook.ID) { c.failed[e] = func(int) bool { return false } })
		c.postLarge(app, make([]byte, 1<<20))
		time.Sleep(time.Minute)
		c.shelf.mu.Lock()
		m := c.shelf.log[len(c.shelf.log)-1]
		for _, e := range endpoints {
			c.shelf.manual[e] = append(c.shelf.manual[e], webhook.Manual{Message: m.ID, Number: 2})
		}
		c.shelf.mu.Unlock()
		stop := c.watch()
		for _, e := range endpoints {
			wake(c.s, e)
		}
		time.Sleep(time.Minute)
		if peak := stop(); peak > maxRequestBytes || peak < maxRequestBytes/2 {
			t.Errorf("%d MiB were carried at once", peak>>20)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range endpoints {
			if c.tries[e] != 2 {
				t.Errorf("an endpoint got %d requests", c.tries[e])
			}
		}
	})
}
