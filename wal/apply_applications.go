package wal

import (
	"fmt"
	"slices"
	"time"

	"hookwheel/webhook"
)

var (
	errUIDTaken = &webhook.Error{Code: webhook.CodeConflict, Detail: "an application with this uid exists already"}
	errChanged  = &webhook.Error{Code: webhook.CodeChanged, Detail: "Another request changed this at the same time. Try again."}
)

// now returns the time of the log's clock.
func (e *entry) now() time.Time { return time.UnixMilli(e.batch.meta.clock).UTC() }

// applicationTable changes the applications for an entry.
type applicationTable struct{ *entry }

func (e applicationTable) create(c *createApplication) ([]byte, error) {
	app := c.Application
	if existing := e.store.catalog.uidHolder(app.UID); existing != nil {
		if !c.GetIfExists {
			return nil, errUIDTaken
		}
		e.source = replySource{key: idKey(keyApplication, existing.ID), form: formFound}
		return encodeJSON(createApplication{Application: *existing})
	}
	if c.Max > 0 && len(e.store.catalog.applications) >= c.Max && app.UID != webhook.OperationalUID {
		return nil, &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("There are %d applications, which is the limit: delete one, "+
			"or raise limits.applications in the configuration.", c.Max)}
	}
	var err error
	if app.ID, err = e.id(); err != nil {
		return nil, err
	}
	app.CreatedAt, app.UpdatedAt, app.Revision = app.ID.Time(), app.ID.Time(), e.batch.meta.index
	if _, err := e.put(&app); err != nil {
		return nil, err
	}
	e.changed(webhook.StateChange{Change: webhook.AppCreated, App: app.ID})
	e.source.form = formCreated
	return encodeJSON(createApplication{Application: app, Created: true})
}

// update replaces an application with an edited copy of it. The reply is the
// application.
func (e applicationTable) update(app *webhook.Application) ([]byte, error) {
	before := e.store.catalog.applications[app.ID]
	switch {
	case before == nil:
		return nil, errNoApplication
	case before.Revision != app.Revision:
		return nil, errChanged
	}
	if holder := e.store.catalog.uidHolder(app.UID); holder != nil && holder.ID != app.ID {
		return nil, errUIDTaken
	}
	app.CreatedAt, app.UpdatedAt, app.Revision = before.CreatedAt, e.now(), e.batch.meta.index
	app.TokensSince, app.TokensUntil = before.TokensSince, before.TokensUntil
	same := *before
	same.UpdatedAt, same.Revision = app.UpdatedAt, app.Revision
	switch isSame, err := haveSameRecord(&same, app); {
	case err != nil:
		return nil, err
	case !isSame:
		e.changed(webhook.StateChange{Change: webhook.AppUpdated, App: app.ID})
	}
	return e.put(app)
}

func (e applicationTable) put(app *webhook.Application) (record []byte, err error) {
	if record, err = encodeJSON(app); err != nil {
		return nil, err
	}
	e.store.mu.Lock()
	e.store.catalog.putApplication(app)
	e.store.mu.Unlock()
	e.changes.Applications = append(e.changes.Applications, app)
	e.source = replySource{key: idKey(keyApplication, app.ID)}
	e.batch.set(e.source.key, record)
	return record, nil
}

// remove deletes an application and its endpoints at once. They may leave many records
// behind, so sweep removes those step by step.
func (e applicationTable) remove(c *deleteApplication) error {
	n := &e.store.catalog
	app := n.applications[c.App]
	if app == nil {
		return errNoApplication
	}
	keyTable(e).removeOf(app.ID)
	if err := tallyTable(e).dropRecent(app.ID); err != nil {
		return err
	}
	for _, endpoint := range n.byApp[app.ID] {
		e.changes.Removed = append(e.changes.Removed, endpoint.ID)
	}
	e.store.mu.Lock()
	n.removeApplication(app)
	e.store.mu.Unlock()
	taskTable(e).failDeleted()
	e.changed(webhook.StateChange{Change: webhook.AppDeleted, App: app.ID})
	gone := removedApp{id: app.ID}
	i, _ := slices.BinarySearchFunc(n.removedApps, app.ID, func(g removedApp, id webhook.ID) int { return g.id.Compare(id) })
	n.removedApps = slices.Insert(n.removedApps, i, gone) // the order in which a restarted node finds them
	e.dropFront(app.ID)
	e.batch.delete(idKey(keyApplication, app.ID))
	e.batch.set(idKey(keyRemovedApp, app.ID), gone.encode())
	return nil
}
