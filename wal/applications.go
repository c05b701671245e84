package wal

import (
	"strings"

	"hookwheel/webhook"
)

// Application finds an application by its ID or uid. If it is unknown, the error is a
// *webhook.Error.
func (m *memory) Application(name string) (*webhook.Application, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if app := m.catalog.application(name); app != nil {
		return app, nil
	}
	return nil, errNoApplication
}

// LimitedApplications returns the applications with a rate limit.
func (m *memory) LimitedApplications() (list []*webhook.Application) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, app := range m.catalog.applications {
		if app.RateLimit > 0 {
			list = append(list, app)
		}
	}
	return list
}

// Applications returns a page of all applications, and reports whether there are more in the
// page's direction.
func (r *Reader) Applications(page Page) (list []webhook.Application, more bool, err error) {
	err = r.read(func(v dbView) error {
		return v.page(page, []byte{keyApplication}, idSize, func(key, value []byte) (err error) {
			app := make([]webhook.Application, 1)
			if err := decodeJSON(value, &app[0]); err != nil {
				return err
			}
			list, err = collect(page, list, app, func(a *webhook.Application) webhook.ID { return a.ID }, nil)
			return err
		})
	})
	list, more = cut(page, list)
	return list, more, err
}

// SearchApplications returns a page of the applications whose name or uid contains a text, in any
// case; next is as in Messages.
func (r *Reader) SearchApplications(page Page, text string) (list []webhook.Application, next webhook.ID, err error) {
	text = strings.ToLower(text)
	found := search[webhook.Application]{page: page, id: func(a *webhook.Application) webhook.ID { return a.ID },
		keep: func(*webhook.Application) int { return 0 },
		want: func(a *webhook.Application) (bool, error) {
			return strings.Contains(strings.ToLower(a.Name), text) || strings.Contains(strings.ToLower(a.UID), text), nil
		}}
	err = r.read(func(v dbView) error {
		return v.page(page, []byte{keyApplication}, idSize, func(_, value []byte) error {
			app := make([]webhook.Application, 1)
			if err := decodeJSON(value, &app[0]); err != nil {
				return err
			}
			return found.take(app)
		})
	})
	return found.list, found.next, err
}
