package systemtest

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// audited is a page of the audit list.
type audited struct {
	Data []struct {
		ID        string
		EventType string
		Actor     struct{ Type, Role string }
	}
	Iterator string
	Done     bool
}

// createdEventTypes returns the names of the event types that the audit list of a node says were
// created, newest first.
func (c *caller) createdEventTypes(t *testing.T, node int) (names []string) {
	t.Helper()
	for iterator := ""; ; {
		var page audited
		c.must(t, node, "GET", "/audit?change=event_type.created&iterator="+iterator, "", 200, &page)
		for _, item := range page.Data {
			names = append(names, item.EventType)
			if item.Actor.Type != "configuration" || item.Actor.Role != "admin" {
				t.Errorf("%s was made by %+v", item.EventType, item.Actor)
			}
		}
		if iterator = page.Iterator; page.Done {
			return names
		}
	}
}

// The audit list has each change once, in the same order on each node, though the leader was killed
// meanwhile.
func TestAuditAcrossLeaders(t *testing.T) {
	t.Parallel()
	const between, most = 40, 1000 // changes
	c := startDevCluster(t)
	var (
		mu          sync.Mutex
		made, maybe []string
		over        atomic.Bool
		wg          sync.WaitGroup
	)
	for node := range clusterSize {
		wg.Go(func() {
			for i := 0; i < most && !over.Load(); i++ {
				name := fmt.Sprintf("n%d.e%d", node+1, i)
				r, err := c.call(node+1, "POST", "/event-type", fmt.Sprintf(`{"name": %q, "description": ""}`, name))
				mu.Lock()
				if err == nil && r.status == http.StatusCreated {
					made = append(made, name)
				} else {
					maybe = append(maybe, name)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(failurePause)
				}
			}
		})
	}
	defer func() {
		over.Store(true)
		wg.Wait()
	}()
	await := func(count int) {
		t.Helper()
		wait.For(t, fmt.Sprint(count, " changes"), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(made) >= count
		})
	}
	await(between)
	c.kill(t, c.awaitHealth(t, 1, 2, 3))
	c.awaitHealth(t, 1, 2, 3)
	mu.Lock()
	enough := len(made) + between
	mu.Unlock()
	await(enough)
	over.Store(true)
	wg.Wait()

	listed := c.createdEventTypes(t, 1)
	for node := 2; node <= clusterSize; node++ {
		if other := c.createdEventTypes(t, node); !slices.Equal(other, listed) {
			t.Errorf("n%d lists %d changes, n1 %d, or in another order", node, len(other), len(listed))
		}
	}
	counts := make(map[string]int)
	for _, name := range listed {
		counts[name]++
	}
	for _, name := range made {
		if counts[name] != 1 {
			t.Errorf("the creation of %s is listed %d times", name, counts[name])
		}
		delete(counts, name)
	}
	for _, name := range maybe {
		if counts[name] > 1 {
			t.Errorf("the creation of %s is listed %d times", name, counts[name])
		}
		delete(counts, name)
	}
	if len(counts) > 0 {
		t.Errorf("listed, but nobody made them: %v", counts)
	}
}
