package apitest

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// TailEvent is one event of GET /tail.
type TailEvent struct{ ID, Name, Data string }

// ReadTail shows the events of one stream until it ends or see returns an error.
func ReadTail(ctx context.Context, node, token string, query url.Values, see func(TailEvent) error) error {
	request, err := http.NewRequestWithContext(ctx, "GET", node+"/api/v1/tail?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the tail is refused: %s", response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	var event TailEvent
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			event.ID = value
		case "event":
			event.Name = value
		case "data":
			event.Data = value
		}
		if lines.Text() != "" {
			continue
		}
		if event.Name != "" {
			if err := see(event); err != nil {
				return err
			}
		}
		event = TailEvent{}
	}
	return lines.Err()
}

// Tail is a client that follows a node, and comes again when it is cut off.
type Tail struct {
	mu     sync.Mutex
	events []TailEvent
	End    func() // ends it and waits
}

// Follow follows any of these URLs; the next one when a stream ends.
func Follow(t *testing.T, token, query string, urls ...string) *Tail {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	r := new(Tail)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_ = ReadTail(ctx, urls[i%len(urls)], token, values, func(event TailEvent) error { // until a node can be reached
				if event.ID != "" {
					values.Set("from", event.ID)
				}
				if event.Name == "place" {
					return nil
				}
				r.mu.Lock()
				defer r.mu.Unlock()
				r.events = append(r.events, event)
				return nil
			})
			time.Sleep(wait.Pause)
		}
	})
	r.End = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(r.End)
	return r
}

// Events returns the events so far, without the places.
func (r *Tail) Events() []TailEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Await waits for that many events and returns their names, or what they change.
func (r *Tail) Await(t *testing.T, count int) (names []string) {
	t.Helper()
	wait.For(t, fmt.Sprint(count, " events"), func() bool { return len(r.Events()) >= count })
	for _, e := range r.Events() {
		name := e.Name
		if _, rest, found := strings.Cut(e.Data, `"change":"`); found {
			name, _, _ = strings.Cut(rest, `"`)
		}
		names = append(names, name)
	}
	return names
}
