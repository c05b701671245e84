package wal

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// What each node keeps in memory of an endpoint, and of an application, in bytes. Together with
// what the leader keeps of them (scheduler.TestMemoryPerEndpoint) an endpoint is to cost at most 2
// KiB beyond its own text.
const (
	maxEndpointBytes    = 820
	maxApplicationBytes = 940
	maxFailingBytes     = 56 // more, with a text of 10 bytes
)

// An endpoint costs little memory, whether it is the only one of its application or one of many,
// new, in use or failing, and also after a restart.
func TestMemoryPerEndpoint(t *testing.T) {
	for _, test := range []struct {
		endpoints, apps int
		used, failing   bool
		limit           int64
	}{
		{10_000, 10, false, false, maxEndpointBytes},
		{10_000, 10, true, false, maxEndpointBytes},
		{10_000, 10, true, true, maxEndpointBytes + maxFailingBytes},
		{10_000, 10_000, false, false, maxEndpointBytes + maxApplicationBytes},
		{10_000, 10_000, true, false, maxEndpointBytes + maxApplicationBytes},
		{10_000, 10_000, true, true, maxEndpointBytes + maxApplicationBytes + maxFailingBytes},
	} {
		t.Run(fmt.Sprintf("%d in %d, used %t, failing %t", test.endpoints, test.apps, test.used, test.failing), func(t *testing.T) {
			w := newMemoryWorld(t, test.endpoints, test.apps, test.used)
			if test.failing {
				w.fail()
			}
			live, loaded := w.perEndpoint()
			t.Logf("%d bytes, %d after a restart", live, loaded)
			if max(live, loaded) > test.limit {
				t.Errorf("an endpoint costs %d bytes, %d after a restart; the limit is %d", live, loaded, test.limit)
			}
		})
	}
}

// Of an event type a node keeps in memory little beyond the text of its name and its feature flags,
// however large its schemas are, also after a restart.
func TestMemoryPerEventType(t *testing.T) {
	const count, limit = 2000, 200
	s := openTest(t, uncheckedDir(t))
	w := &memoryWorld{t: t, s: s}
	schema := fmt.Appendf(nil, "{%q:%q}", "title", strings.Repeat("x", 8000))
	w.applyEach(count, func(i int) ([]byte, error) {
		return encodeCommand(kindCreateEventType, webhook.EventType{Name: fmt.Sprintf("type-%05d", i), FeatureFlags: []string{"beta"},
			Schemas: map[string]json.RawMessage{"1": schema}})
	})
	const text = len("type-00000") + len("beta")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		with := inUse()
		s.catalog = newCatalog()
		if size := (with-inUse())/count - int64(text); size > limit {
			t.Errorf("an event type costs %d bytes, the limit is %d", size, limit)
		}
		var err error
		if s, err = Open(s.config); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkMemoryPerEndpoint says what an endpoint costs where there are many.
func BenchmarkMemoryPerEndpoint(b *testing.B) {
	for _, apps := range []int{100, 50_000} {
		b.Run(fmt.Sprintf("50000 in %d", apps), func(b *testing.B) {
			for b.Loop() {
				live, loaded := newMemoryWorld(b, 50_000, apps, true).perEndpoint()
				b.ReportMetric(float64(live), "B/endpoint")
				b.ReportMetric(float64(loaded), "B/loaded")
			}
		})
	}
}

// memoryWorld is a store with many endpoints.
type memoryWorld struct {
	t    testing.TB
	s    *Store
	text int64 // bytes of text of each endpoint and, if it is the only one, its application
}

// newMemoryWorld makes endpoints in that many applications. Each one in use has got a message.
func newMemoryWorld(t testing.TB, endpoints, apps int, used bool) *memoryWorld {
	s, err := Open(Config{Dir: memdir.New(t), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	w := &memoryWorld{t: t, s: s}
	uid := func(i int) string { return fmt.Sprintf("customer-%05d", i) }
	w.applyEach(apps, func(i int) ([]byte, error) {
		return encodeCommand(kindCreateApplication, createApplication{Application: webhook.Application{UID: uid(i)}})
	})
	url := "https://customer.example/webhooks"
	w.applyEach(endpoints, func(i int) ([]byte, error) {
		return encodeCommand(kindCreateEndpoint, createEndpoint{Endpoint: webhook.Endpoint{App: s.catalog.appByUID[uid(i%apps)], URL: url, Keys: testKeys}})
	})
	w.text = int64(len(url) + len(testKeys[0].Sealed))
	if apps == endpoints {
		w.text += int64(len(uid(0)))
	}
	if used {
		w.use(apps, uid)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	return w
}

// use sends a message to each application and delivers it to each of its endpoints.
func (w *memoryWorld) use(apps int, uid func(int) string) {
	sent := make(map[webhook.ID]webhook.ID) // by application
	for i := range apps {
		app := w.s.catalog.appByUID[uid(i)]
		reply := w.apply(appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: []byte("{}")}))[0]
		sent[app] = webhook.ID(reply[1:])
	}
	all := w.s.AllEndpoints()
	w.applyEach(len(all), func(i int) ([]byte, error) {
		endpoint, message := all[i].ID, sent[all[i].App]
		o := webhook.Outcome{Attempt: webhook.Attempt{Message: message, Endpoint: endpoint, Number: 1, StatusCode: 200}}
		return encodeProgress(1, []webhook.Progress{{Endpoint: endpoint, Cursor: message, Outcomes: []webhook.Outcome{o}}}), nil
	})
}

// fail makes the second attempt at the message of each endpoint fail.
func (w *memoryWorld) fail() {
	all, now := w.s.AllEndpoints(), time.UnixMilli(testClock).UTC()
	health := webhook.Health{FailingSince: now, LastFailure: "status 500"}
	w.applyEach(len(all), func(i int) ([]byte, error) {
		message := w.s.catalog.cursors[all[i].ID].position
		o := webhook.Outcome{Attempt: webhook.Attempt{Message: message, Endpoint: all[i].ID, Number: 2, StatusCode: 500, Status: webhook.StatusFail, Next: now.Add(time.Hour)}}
		return encodeProgress(1, []webhook.Progress{{Endpoint: all[i].ID, Cursor: message, Health: &health, Outcomes: []webhook.Outcome{o}}}), nil
	})
	if err := w.s.Commit(); err != nil {
		w.t.Fatal(err)
	}
}

// applyEach applies n commands, many of them in an entry.
func (w *memoryWorld) applyEach(n int, command func(i int) ([]byte, error)) {
	var bodies [][]byte
	for i := range n {
		body, err := command(i)
		if err != nil {
			w.t.Fatal(err)
		}
		if bodies = append(bodies, body); len(bodies) == 100 || i == n-1 {
			w.apply(bodies...)
			bodies = nil
		}
	}
}

func (w *memoryWorld) apply(bodies ...[]byte) (replies [][]byte) {
	var commands []Command
	index := w.s.Applied() + 1
	for i, body := range bodies {
		commands = append(commands, Command{Request: [16]byte{byte(i), byte(index), byte(index >> 8), byte(index >> 16)}, Body: body})
	}
	replies, err := w.s.Apply(index, 1, testClock+int64(index), commands)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, reply := range replies {
		if _, err := decodeReply(reply); err != nil {
			w.t.Fatal(err)
		}
	}
	return replies
}

// perEndpoint returns what the catalog takes for each endpoint, as it is and as a restart reads it.
// It ends the store.
func (w *memoryWorld) perEndpoint() (live, loaded int64) {
	s := w.s
	count := int64(len(s.catalog.endpoints))
	if err := s.Close(); err != nil {
		w.t.Fatal(err)
	}
	with := inUse()
	s.catalog = newCatalog()
	without := inUse()
	live = (with-without)/count - w.text
	again, err := Open(s.config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		w.t.Fatal(err)
	}
	with = inUse()
	again.catalog = newCatalog()
	return live, (with-inUse())/count - w.text
}

// inUse returns the bytes of the heap that are in use.
func inUse() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
