package wal

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// crowd is a store with applications that send little beside one that floods it.
type crowd struct {
	*Store
	w     *Writer
	k     *Shrinker
	flood webhook.ID
	quiet []webhook.ID
	kept  map[webhook.ID][]webhook.ID // by quiet application: its messages
}

// newCrowd makes such a store; dead says that endpoints wait for all messages, as when none of
// their receivers is there.
func newCrowd(t *testing.T, maxSize int64, dead bool) *crowd {
	s := closing(t, openTest(t, memdir.New(t)))
	setMaxSize(s, maxSize)
	c := &crowd{Store: s, w: NewWriter(direct{s, 1}), kept: make(map[webhook.ID][]webhook.ID)}
	c.k = NewShrinker(s, c.w, maxSize)
	for i := range 11 {
		app, _, err := c.w.CreateApplication(t.Context(), webhook.Application{Name: fmt.Sprint(i)}, false)
		if err != nil {
			t.Fatal(err)
		}
		if dead {
			if _, err := c.w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys}); err != nil {
				t.Fatal(err)
			}
		}
		c.quiet = append(c.quiet, app.ID)
	}
	c.flood, c.quiet = c.quiet[10], c.quiet[:10]
	return c
}

// post does what a leader does with a new message of a KiB; refused is the reason if it is refused.
func (c *crowd) post(t *testing.T, app webhook.ID) (id webhook.ID, refused *webhook.Error) {
	t.Helper()
	m := &webhook.Message{App: app, EventType: "a", Payload: make([]byte, 1024)}
	if err := c.admit(appendCreateMessage(nil, m), nil, false); err != nil {
		if !errors.As(err, &refused) {
			t.Fatal(err)
		}
		return id, refused
	}
	id, err := c.w.CreateMessage(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return id, nil
}

// shrink does what the leader does when the store has grown.
func (c *crowd) shrink(t *testing.T) {
	t.Helper()
	for range 1000 {
		if c.space.Size() <= c.space.maxSize {
			return
		}
		more, err := c.k.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
	t.Fatal("there is always more to do")
}

// TestShareOfFlood: an application that floods neither has messages of others leave nor has them
// refused, whether anybody waits for its own or not.
func TestShareOfFlood(t *testing.T) {
	for name, dead := range map[string]bool{"nobody waits": false, "dead endpoints": true} {
		t.Run(name, func(t *testing.T) {
			const maxSize, quietEach = 1 << 20, 6
			c := newCrowd(t, maxSize, dead)
			refused, flooded := 0, 0
			quiet := func() {
				for _, app := range c.quiet {
					id, err := c.post(t, app)
					if err != nil {
						t.Fatalf("a quiet application is refused: %v", err)
					}
					c.kept[app] = append(c.kept[app], id)
				}
			}
			var first webhook.ID
			for i := range 1800 {
				if i%300 == 0 {
					quiet()
				}
				id, err := c.post(t, c.flood)
				switch {
				case err != nil && !strings.Contains(err.Detail, "share of storage.max_size"):
					t.Fatalf("refused without a word about its share: %s", err.Detail)
				case err != nil:
					refused++
				default:
					flooded++
				}
				if first.IsZero() {
					first = id
				}
				c.shrink(t)
			}
			for app, ids := range c.kept {
				if len(ids) != quietEach {
					t.Fatalf("%d messages were sent", len(ids))
				}
				for _, id := range ids {
					if m, err := c.Message(app, id.Text(webhook.KindMessage)); err != nil || m == nil {
						t.Errorf("a message of a quiet application has left: %v", err)
					}
				}
			}
			m, err := c.Message(c.flood, first.Text(webhook.KindMessage))
			if lost := m == nil; lost == dead {
				t.Errorf("the flood lost its oldest message: %t (%v)", lost, err)
			}
			if (refused > 0) != dead {
				t.Errorf("%d messages of the flood were taken and %d refused", flooded, refused)
			}
			if size := c.space.Size(); size > maxSize+maxSize/4 {
				t.Errorf("the store takes %d bytes", size)
			}
		})
	}
}

// TestShareWhileRemoved: what is deleted leaves no share, attempts and their histories included;
// the checker compares the rest.
func TestShareWhileRemoved(t *testing.T) {
	s := newSized(t, 0)
	s.send(t, 100)
	before := s.catalog.shares[s.app]
	s.attempt(t, 0, 100)
	if held := s.catalog.shares[s.app]; held <= before {
		t.Errorf("an application holds %d bytes, and after 100 attempts %d", before, held)
	}
	for _, remove := range []func() error{
		func() error { return s.w.DeleteEndpoint(t.Context(), s.app, s.endpoint) },
		func() error { return s.w.DeleteApplication(t.Context(), s.app) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		cleaner := NewCleaner(s.Store, s.w)
		for i := 0; cleaner.isSweeping(); i++ {
			if i == 1000 {
				t.Fatal("there is always more to sweep")
			}
			if _, err := cleaner.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.catalog.shares) != 0 {
		t.Errorf("shares are left: %v", s.catalog.shares)
	}
}

// TestFairShare compares shares with a simple model, which gives bytes in turn to all holders that
// want more.
func TestFairShare(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 2000 {
		list := make([]holder, 1+random.Intn(8))
		total := int64(0)
		for i := range list {
			list[i].held = int64(random.Intn(40))
			total += list[i].held
		}
		slices.SortFunc(list, func(a, b holder) int { return int(b.held - a.held) })
		room := int64(random.Intn(200)) - 20
		share := fairShare(list, room)
		want := int64(math.MaxInt64)
		if total > room {
			for want = 0; kept(list, want+1) <= room; want++ {
			}
		}
		if share != want {
			t.Fatalf("of %d bytes among %v: %d, want %d", room, list, share, want)
		}
	}
}

// kept returns how much the holders keep if each may have share.
func kept(list []holder, share int64) (sum int64) {
	for _, h := range list {
		sum += min(h.held, share)
	}
	return sum
}

// TestShrinkToShares: whatever applications hold, each keeps its newest messages up to a fair
// share, and those within theirs keep all.
func TestShrinkToShares(t *testing.T) {
	for seed := range int64(5) {
		random := rand.New(rand.NewSource(seed))
		c := newCrowd(t, 0, false)
		sent := make(map[webhook.ID][]webhook.ID)
		for _, app := range append(c.quiet, c.flood) {
			for range 1 << random.Intn(8) {
				id, err := c.post(t, app)
				if err != nil {
					t.Fatal(err)
				}
				sent[app] = append(sent[app], id)
			}
		}
		list := c.gate.holders()
		other := c.space.Size()
		for _, h := range list {
			other -= h.held
		}
		size := c.space.Size() * int64(50+random.Intn(40)) / 100
		share := fairShare(list, size-other)
		held := make(map[webhook.ID]int64)
		for _, h := range list {
			held[h.app] = h.held
		}
		setMaxSize(c.Store, size)
		c.k = NewShrinker(c.Store, c.w, size)
		c.k.size, c.k.tight = size, size
		c.shrink(t)
		if c.space.Size() > size {
			t.Errorf("seed %d: %d bytes are left of at most %d", seed, c.space.Size(), size)
		}
		const slack = 8 << 10 // messages leave whole, and counting them changes records
		for app, ids := range sent {
			if is := c.catalog.held(app); is < min(held[app], share)-slack || is > share+slack || held[app] < share-slack && is != held[app] {
				t.Errorf("seed %d: an application has %d bytes of %d with a share of %d", seed, is, held[app], share)
			}
			gone := true
			for _, id := range ids {
				m, _ := c.Message(app, id.Text(webhook.KindMessage))
				if gone = gone && m == nil; !gone && m == nil {
					t.Errorf("seed %d: a message has left before an older one", seed)
				}
			}
		}
	}
}

// TestShareIsFloor: whatever a leader asks for, an application keeps what is within the share that
// the command names.
func TestShareIsFloor(t *testing.T) {
	c := newCrowd(t, 0, false)
	var parts []part
	for range 100 {
		id, err := c.post(t, c.flood)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{c.flood, id})
	}
	floor := c.catalog.shares[c.flood] / 2
	applyAt(t, c.Store, testClock, mustEncode(t, kindRetain, retain{Size: 1, Share: floor, Records: 1000, Parts: parts}))
	if held := c.catalog.shares[c.flood]; held > floor || held < floor-2<<10 {
		t.Errorf("an application with a share of %d bytes has %d", floor, held)
	}
}

// Whatever customers store in their endpoints, also if they made them small and larger later,
// events and endpoints of others have room. What makes nothing larger is admitted.
func TestLargeEndpoints(t *testing.T) {
	const limit = 4 << 20
	for setting, sizes := range map[string][2]int64{"storage.max_size": {limit, 1 << 30}, "storage.max_endpoints": {0, limit}} {
		t.Run(setting, func(t *testing.T) {
			c := newCrowd(t, sizes[0], false)
			c.space.maxEndpoints = sizes[1]
			apps := append(c.quiet[1:], c.flood)
			for range 20 { // more than there can be
				app, _, err := c.w.CreateApplication(t.Context(), webhook.Application{Name: "another"}, false)
				if err != nil {
					t.Fatal(err)
				}
				apps = append(apps, app.ID)
			}
			wantCode(t, c.enlargeAll(t, c.flood, setting), webhook.CodeLimit)
			for _, app := range apps {
				refused := c.enlargeAll(t, app, setting)
				if code := webhook.ErrorCode(refused); code != webhook.CodeLimit && code != webhook.CodeNoSpace {
					t.Errorf("refused with %v", refused)
				}
				if own := c.catalog.sizes.of[app]; own > limit/16 || own < limit/8/31-9000 {
					t.Errorf("the endpoints of an application take %d bytes", own)
				}
			}
			if all := c.catalog.sizes.all; all > limit || all < limit/2 {
				t.Errorf("all endpoints take %d bytes", all)
			}
			if _, err := c.k.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.post(t, c.quiet[0]); err != nil {
				t.Errorf("an event of another is refused: %v", err)
			}
			var last *webhook.Endpoint
			for _, last = range c.catalog.byApp[c.flood] {
				break
			}
			paused := *last
			paused.Paused = true
			if err := c.admit(mustEncode(t, kindUpdateEndpoint, updateEndpoint{Endpoint: paused}), nil, false); err != nil {
				t.Errorf("an endpoint can't be paused: %v", err)
			}
			for _, app := range apps {
				for _, e := range c.catalog.byApp[app] {
					if err := c.w.DeleteEndpoint(t.Context(), app, e.ID); err != nil {
						t.Fatal(err)
					}
				}
			}
			wantCode(t, c.enlargeAll(t, c.flood, setting), webhook.CodeLimit) // there is room again
			if err := c.Commit(); err != nil {
				t.Fatal(err)
			}
			fresh := newCatalog()
			if err := c.read(func(v dbView) error { return fresh.load(v.view) }); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(fresh.sizes, c.catalog.sizes) {
				t.Errorf("after a restart the endpoints take %v, want %v", fresh.sizes, c.catalog.sizes)
			}
		})
	}
}

// enlargeAll makes endpoints of an application and enlarges each, until that is refused for a
// setting.
func (c *crowd) enlargeAll(t *testing.T, app webhook.ID, setting string) (refused error) {
	t.Helper()
	for range 100 {
		e, err := c.w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app, URL: "http://x/", Keys: testKeys})
		if err != nil {
			t.Fatal(err)
		}
		e.URL += strings.Repeat("x", 8000)
		if err = c.admit(mustEncode(t, kindUpdateEndpoint, updateEndpoint{Endpoint: *e}), nil, false); err != nil {
			if !strings.Contains(err.Error(), "raise "+setting) {
				t.Errorf("%v; want it to name %s", err, setting)
			}
			return err
		}
		if _, err = c.w.UpdateEndpoint(t.Context(), *e); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("100 large endpoints are admitted")
	return nil
}

// Applications of a producer, as large as they may be, take a part of the limits only, in memory
// and in the store. One that is there is found in any case, and when some are deleted there is room
// again.
func TestLargeApplications(t *testing.T) {
	for name, limit := range map[string]struct {
		count   int
		maxSize int64
	}{"by their number": {10_000, 0}, "by storage.max_size": {0, 4 << 20}, "by both": {1000, 4 << 20}} {
		t.Run(name, func(t *testing.T) {
			s := closing(t, openTest(t, memdir.New(t)))
			setMaxSize(s, limit.maxSize)
			w := NewWriter(direct{s, 1})
			create := func(uid string, metadata map[string]string, getIfExists bool) (*webhook.Application, error) {
				app := webhook.Application{Name: strings.Repeat("&", 4096), UID: uid, Metadata: metadata}
				if err := s.admit(mustEncode(t, kindCreateApplication, createApplication{Application: app, GetIfExists: getIfExists, Max: limit.count}), nil, false); err != nil {
					return nil, err
				}
				made, _, err := w.CreateApplication(t.Context(), app, getIfExists)
				return made, err
			}
			many := make(map[string]string)
			for i := range 400 {
				many[fmt.Sprint(i)] = ""
			}
			may := limit.maxSize / applicationsPart
			if limit.maxSize == 0 {
				may = int64(limit.count) * applicationMean
			}
			var list []*webhook.Application
			for range 1000 {
				app, err := create(fmt.Sprint("uid-", len(list)), many, false)
				if err != nil {
					wantCode(t, err, webhook.CodeLimit)
					break
				}
				list = append(list, app)
			}
			stored := int64(0)
			for key, value := range recordsOf(t, content(t, s)) {
				if key[0] == keyApplication {
					stored += int64(len(key) + len(value))
				}
			}
			if stored > may || stored < may/4 {
				t.Errorf("%d applications take %d bytes of the %d that they may", len(list), stored, may)
			}
			if _, err := create("uid-0", many, true); err != nil {
				t.Errorf("an application that exists is not found: %v", err)
			}
			_, err := create("", many, false)
			wantCode(t, err, webhook.CodeLimit)
			for _, app := range list[:2] {
				if err := w.DeleteApplication(t.Context(), app.ID); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := create("", many, false); err != nil {
					t.Errorf("there is room again: %v", err)
				}
			}
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			fresh := newCatalog()
			if err := s.read(func(v dbView) error { return fresh.load(v.view) }); err != nil {
				t.Fatal(err)
			}
			if fresh.applicationBytes != s.catalog.applicationBytes {
				t.Errorf("after a restart the applications take %d bytes, want %d", fresh.applicationBytes, s.catalog.applicationBytes)
			}
		})
	}
}

// Commands are admitted while others are applied: with the race detector, this finds what is read
// without the lock.
func TestEndpointsAreAdmittedMeanwhile(t *testing.T) {
	s, w, _, endpoint := newWorld(t)
	setMaxSize(s, 1<<20)
	larger := *endpoint
	larger.Description = "larger"
	ask := mustEncode(t, kindUpdateEndpoint, updateEndpoint{Endpoint: larger})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if err := s.admit(ask, nil, false); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 100 {
		var err error
		if endpoint, err = w.UpdateEndpoint(t.Context(), *endpoint); err != nil {
			t.Fatal(err)
		}
	}
	<-done
}
