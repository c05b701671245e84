package wal

import (
	"slices"

	"hookwheel/webhook"
)

// catalog holds the applications, the endpoints and their cursors in memory, because every message
// needs them, and of event types what endpoints need to choose them. Values are never changed, only
// replaced, so readers may keep pointers to them.
type catalog struct {
	applications     map[webhook.ID]*webhook.Application
	appByUID         map[string]webhook.ID
	endpoints        map[webhook.ID]*webhook.Endpoint
	byApp            map[webhook.ID][]*webhook.Endpoint // in order of ID
	cursors          map[webhook.ID]*cursor             // changed in place, by Apply alone
	removed          []removal                          // in order of ID
	removedApps      []removedApp                       // likewise
	dropped          []droppedMessage                   // likewise
	shares           map[webhook.ID]int64               // by application, see doc.go
	sizes            endpointSizes
	applicationBytes int64                // what all applications take, see sizeOf
	fronts           map[webhook.ID]front // likewise
	apiKeys          apiKeys
	eventTypes       map[string]*eventTypeHead // by name
	tasks            []*webhook.Task           // in order of ID
	overtakers       overtakers
	aging            aging
	recent           map[webhook.ID]*recent // counts of applications, and under the zero ID of all; changed in place, by Apply alone
	forgotten        forgotten
	changes          changes
	numbered         numbered
}

func newCatalog() catalog {
	return catalog{
		applications: make(map[webhook.ID]*webhook.Application),
		appByUID:     make(map[string]webhook.ID),
		endpoints:    make(map[webhook.ID]*webhook.Endpoint),
		byApp:        make(map[webhook.ID][]*webhook.Endpoint),
		cursors:      make(map[webhook.ID]*cursor),
		shares:       make(map[webhook.ID]int64),
		sizes:        endpointSizes{of: make(map[webhook.ID]int64)},
		fronts:       make(map[webhook.ID]front),
		apiKeys:      newAPIKeys(),
		eventTypes:   make(map[string]*eventTypeHead),
		recent:       make(map[webhook.ID]*recent),
		forgotten:    make(forgotten),
		changes:      newChanges(),
	}
}

func (n *catalog) load(v view) error {
	err := v.scan([]byte{keyApplication}, func(key, value []byte) error {
		app := new(webhook.Application)
		if err := decodeJSON(value, app); err != nil {
			return err
		}
		n.putApplication(app)
		return nil
	})
	if err != nil {
		return err
	}
	sizes := make(map[webhook.ID]int)
	err = v.scan([]byte{keyEndpoint}, func(key, value []byte) error {
		endpoint := new(webhook.Endpoint)
		if err := decodeJSON(value, endpoint); err != nil {
			return err
		}
		if n.applications[endpoint.App] != nil { // else it is going, after its application
			n.putEndpoint(endpoint)
			sizes[endpoint.ID] = len(value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = v.scan([]byte{keyCursor}, func(key, value []byte) error {
		c, id := new(cursor), webhook.ID(key[1:])
		if err := c.decode(value); err != nil {
			return err
		}
		if endpoint := n.endpoints[id]; endpoint != nil { // else it is going
			n.cursors[id] = c
			n.measure(endpoint, sizes[id])
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := n.loadRemoved(v); err != nil {
		return err
	}
	if err := n.loadShares(v); err != nil {
		return err
	}
	if err := n.loadFronts(v); err != nil {
		return err
	}
	if err := n.loadRecent(v); err != nil {
		return err
	}
	if err := n.apiKeys.load(v); err != nil {
		return err
	}
	if err := n.loadEventTypes(v); err != nil {
		return err
	}
	if err := n.loadTasks(v); err != nil {
		return err
	}
	if err := n.overtakers.load(v); err != nil {
		return err
	}
	if err := n.changes.load(v); err != nil {
		return err
	}
	return n.aging.load(v)
}

func (n *catalog) putApplication(app *webhook.Application) {
	if before := n.applications[app.ID]; before != nil {
		delete(n.appByUID, before.UID)
		n.applicationBytes -= sizeOf(before)
	}
	n.applicationBytes += sizeOf(app)
	n.applications[app.ID] = app
	if app.UID != "" {
		n.appByUID[app.UID] = app.ID
	}
}

func (n *catalog) removeApplication(app *webhook.Application) {
	for _, endpoint := range n.byApp[app.ID] {
		n.measure(endpoint, 0)
		delete(n.endpoints, endpoint.ID)
		delete(n.cursors, endpoint.ID)
	}
	delete(n.byApp, app.ID)
	delete(n.appByUID, app.UID)
	delete(n.applications, app.ID)
	n.applicationBytes -= sizeOf(app)
}

// uidHolder returns the application with a uid, or nil. An empty uid is not looked up.
func (n *catalog) uidHolder(uid string) *webhook.Application {
	id, found := n.appByUID[uid]
	if !found {
		return nil
	}
	return n.applications[id]
}

func (n *catalog) putEndpoint(endpoint *webhook.Endpoint) {
	n.endpoints[endpoint.ID] = endpoint
	list := n.byApp[endpoint.App]
	i, found := slices.BinarySearchFunc(list, endpoint.ID, compareEndpoint)
	list = slices.Clone(list) // readers may hold the old one
	if found {
		list[i] = endpoint
	} else {
		list = slices.Insert(list, i, endpoint)
	}
	n.byApp[endpoint.App] = list
}

func (n *catalog) removeEndpoint(endpoint *webhook.Endpoint) {
	n.measure(endpoint, 0)
	delete(n.endpoints, endpoint.ID)
	delete(n.cursors, endpoint.ID)
	n.byApp[endpoint.App] = slices.DeleteFunc(slices.Clone(n.byApp[endpoint.App]),
		func(e *webhook.Endpoint) bool { return e.ID == endpoint.ID })
}

func compareEndpoint(e *webhook.Endpoint, id webhook.ID) int { return e.ID.Compare(id) }

// application finds an application by its ID or uid, or returns nil.
func (n *catalog) application(name string) *webhook.Application {
	if id, err := webhook.ParseID(webhook.KindApplication, name); err == nil {
		return n.applications[id]
	}
	return n.uidHolder(name)
}

// endpoint finds an endpoint of an application by its ID or uid, or returns nil.
func (n *catalog) endpoint(app webhook.ID, name string) *webhook.Endpoint {
	if id, err := webhook.ParseID(webhook.KindEndpoint, name); err == nil {
		if e := n.endpoints[id]; e != nil && e.App == app {
			return e
		}
		return nil
	}
	for _, e := range n.byApp[app] {
		if e.UID != "" && e.UID == name {
			return e
		}
	}
	return nil
}
