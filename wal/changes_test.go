package wal

import (
	"strings"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// changer makes changes of endpoints.
type changer struct {
	t     *testing.T
	dir   string
	store *Store
	clock int64
	apps  []webhook.ID

	endpoints map[webhook.ID]*webhook.Endpoint // by application; each has one
}

func newChanger(t *testing.T, apps int) *changer {
	c := &changer{t: t, dir: memdir.New(t), clock: testClock, endpoints: make(map[webhook.ID]*webhook.Endpoint)}
	c.store = openTest(t, c.dir)
	t.Cleanup(func() {
		if err := c.store.Close(); err != nil {
			t.Error(err)
		}
	})
	for range apps {
		app := decoded[createApplication](t, c.apply(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}}))).Application.ID
		endpoint := decoded[webhook.Endpoint](t, c.apply(mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app, URL: "http://x/"})))
		c.apps, c.endpoints[app] = append(c.apps, app), &endpoint
	}
	return c
}

// apply applies an entry of one command, and returns the body of its reply.
func (c *changer) apply(body []byte) []byte {
	c.t.Helper()
	c.clock++
	return applyAt(c.t, c.store, c.clock, body)[0][1:]
}

func (c *changer) restart() {
	c.t.Helper()
	if err := c.store.Close(); err != nil {
		c.t.Fatal(err)
	}
	report, err := Check(c.dir, CheckOptions{})
	if err != nil || report.Err() != nil {
		c.t.Fatal(err, report)
	}
	c.store = openTest(c.t, c.dir)
}

// toggle disables or enables the endpoint of an application count times on behalf of somebody.
func (c *changer) toggle(app webhook.ID, by webhook.Actor, count int) {
	c.t.Helper()
	for range count {
		*c.endpoints[app] = decoded[webhook.Endpoint](c.t, c.apply(c.toggling(app, by)))
	}
}

// toggling returns the command that disables or enables the endpoint of an application.
func (c *changer) toggling(app webhook.ID, by webhook.Actor) []byte {
	c.t.Helper()
	endpoint := *c.endpoints[app]
	endpoint.Disabled = !endpoint.Disabled
	body, err := encodeBehalf(&by, mustEncode(c.t, kindUpdateEndpoint, endpoint))
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// list returns all changes that pass a filter, newest first.
func (c *changer) list(filter AuditFilter) (all []webhook.StateChange) {
	c.t.Helper()
	for page := (Page{Limit: 1000}); ; {
		list, next, err := c.store.Audit(page, filter)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, list...)
		if page.From = next; next.IsZero() {
			return all
		}
	}
}

func (c *changer) bytesOf(class makerClass) int64 {
	c.store.pending.Lock()
	defer c.store.pending.Unlock()
	return c.store.catalog.changes.bytes[class]
}

func portalOf(app webhook.ID) webhook.Actor {
	return webhook.Actor{Type: webhook.ActorKey, Role: webhook.RoleApplication, App: app, Key: app, Name: wide(256), Session: strings.Repeat("s", 256)}
}

// A customer who makes change after change loses the oldest of them, and nobody else loses any. It
// is counted and survives a restart.
func TestOneCustomersChangesTakeTheirShare(t *testing.T) {
	c := newChanger(t, 2)
	flood, quiet := c.apps[0], c.apps[1]
	admin := webhook.Actor{Type: webhook.ActorConfiguration, Role: webhook.RoleAdmin}
	c.toggle(quiet, portalOf(quiet), 3)
	c.toggle(flood, admin, 3)
	begun := c.clock
	const toggles = 1000
	c.toggle(flood, portalOf(flood), toggles)
	for _, restarted := range []bool{false, true} {
		if size := c.bytesOf(makerCustomer); size > changesShare+10_000 || size < changesShare/2 {
			t.Errorf("the changes of customers take %d bytes", size)
		}
		if got := len(c.list(AuditFilter{App: quiet})); got != 2+3 {
			t.Errorf("the other customer has %d changes", got)
		}
		if got := len(c.list(AuditFilter{Type: webhook.ActorConfiguration})); got != 3 {
			t.Errorf("the operator has %d changes", got)
		}
		kept := len(c.list(AuditFilter{App: flood, Type: webhook.ActorKey}))
		removed := c.store.RemovedChanges(flood)
		if removed.Count != uint64(toggles-kept) || removed.Count == 0 || removed.Before.UnixMilli() != begun+int64(removed.Count)+1 {
			t.Errorf("%d changes are kept, and it says %+v", kept, removed)
		}
		if all := c.store.RemovedChanges(webhook.ID{}); all.Count != removed.Count || all.Before.After(removed.Before) {
			t.Errorf("of all it says %+v, and of the one %+v", all, removed)
		}
		if of := c.store.RemovedChanges(quiet); of.Count != 0 {
			t.Errorf("of the other it says %+v", of)
		}
		operators, customers, cluster := c.store.RemovedChangesBy()
		if operators != 0 || customers != removed.Count || cluster != 0 {
			t.Errorf("the counts are %d, %d and %d", operators, customers, cluster)
		}
		if !restarted {
			c.restart()
		}
	}
	c.clock += changesKept.Milliseconds()
	for range 1000 / changesForget {
		c.toggle(quiet, admin, 1)
	}
	if of := c.store.RemovedChanges(flood); of.Count != 0 {
		t.Errorf("a week later it says %+v", of)
	}
	if of := c.store.RemovedChanges(webhook.ID{}); of.Count != 0 {
		t.Errorf("a week later it says %+v of all", of)
	}
	if got := len(c.list(AuditFilter{App: flood})); got != 0 {
		t.Errorf("a week later %d are left", got)
	}
	c.restart()
}

// Many customers with many changes do not take more than their class may, and those with few keep
// theirs. The same holds for operators, each of whose keys is one maker.
func TestManyMakersChangesTakeTheirRoom(t *testing.T) {
	for name, by := range map[string]func(app webhook.ID) webhook.Actor{
		"customers": portalOf,
		"operators": func(app webhook.ID) webhook.Actor {
			return webhook.Actor{Type: webhook.ActorKey, Role: webhook.RoleAdmin, Key: app, Name: wide(256)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			const floods, few, room = 12, 5, 200_000
			c := newChanger(t, 1+floods)
			c.store.catalog.changes.room = room
			quiet := by(c.apps[0])
			c.toggle(c.apps[0], quiet, few)
			class := makerOf(&webhook.StateChange{By: quiet}).class
			for full := 0; full < 20; {
				var bodies [][]byte
				for _, app := range c.apps[1:] {
					bodies = append(bodies, c.toggling(app, by(app)))
				}
				c.clock++
				for i, reply := range applyAt(t, c.store, c.clock, bodies...) {
					*c.endpoints[c.apps[1+i]] = decoded[webhook.Endpoint](t, reply[1:])
				}
				switch size := c.bytesOf(class); {
				case size > room:
					t.Fatalf("the changes take %d bytes", size)
				case size > room-int64(len(bodies))*2500:
					full++
				}
			}
			if got := len(c.list(AuditFilter{Key: quiet.Key})); got != few {
				t.Errorf("the quiet one has %d changes left", got)
			}
			if c.store.RemovedChanges(webhook.ID{}).Count == 0 {
				t.Error("nothing was removed")
			}
			c.restart()
		})
	}
}

// A customer who changes an endpoint again and again does not fill the log with operational
// messages. Those about others go on, and those about the customer too once an hour has passed.
func TestFloodOfChangesIsNotTold(t *testing.T) {
	c := newChanger(t, 3)
	operational := decoded[createApplication](t, c.apply(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "o", UID: webhook.OperationalUID}}))).Application.ID
	flood, quiet := c.apps[0], c.apps[1]
	messages := func() int {
		t.Helper()
		list, _, err := c.store.Messages(operational, Page{Limit: 5000}, MessageFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	const toggles = 1000
	c.toggle(flood, portalOf(flood), toggles)
	told := messages()
	if untold := c.store.UntoldChanges(); told == 0 || told > toggles/2 || untold != uint64(toggles-told) {
		t.Errorf("%d were told, and %d not", told, untold)
	}
	c.toggle(quiet, portalOf(quiet), 1)
	c.toggle(flood, webhook.Actor{Type: webhook.ActorConfiguration, Role: webhook.RoleAdmin}, 1)
	if got := messages(); got != told+2 {
		t.Errorf("of others %d were told, want 2", got-told)
	}
	c.restart()
	c.toggle(flood, portalOf(flood), 1)
	if got := messages(); got != told+2 {
		t.Error("a restart ended it")
	}
	c.clock += hour
	c.toggle(flood, portalOf(flood), 1)
	if got := messages(); got != told+3 {
		t.Error("an hour later nothing is told")
	}
}
