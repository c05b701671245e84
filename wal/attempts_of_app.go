package wal

import (
	"slices"

	"hookwheel/webhook"
)

// minLooked is how many attempts of each endpoint a page of an application's attempts may look at,
// however many endpoints there are: each page gets on.
const minLooked = 20

// ByApplication returns a page of the attempts at all present endpoints of the
// application, or at filter.EndpointID only; next is as in Reader.Messages.
func (r Attempts) ByApplication(page Page, filter AttemptFilter) (list []webhook.Attempt, next webhook.ID, err error) {
	endpoints := []webhook.ID{filter.EndpointID}
	if filter.EndpointID.IsZero() {
		r.store.mu.RLock()
		endpoints = endpoints[:0]
		for _, endpoint := range r.store.catalog.byApp[filter.App] {
			endpoints = append(endpoints, endpoint.ID)
		}
		r.store.mu.RUnlock()
	}
	return r.at(endpoints, page, filter, max(minLooked, maxLooked/max(1, len(endpoints))))
}

// at returns a page of the attempts at several endpoints, of each of which it looks at
// some.
func (r Attempts) at(endpoints []webhook.ID, page Page, filter AttemptFilter, looked int) ([]webhook.Attempt, webhook.ID, error) {
	m := attemptMerge{page: page}
	err := r.store.read(func(v dbView) error {
		for _, endpoint := range endpoints {
			found := filter.search(v, m.page)
			found.limit = looked
			if err := found.history(v, endpoint); err != nil {
				return err
			}
			m.add(found.list, found.next)
		}
		return nil
	})
	return m.list, m.next, err
}

// attemptMerge merges the pages of several endpoints into one.
type attemptMerge struct {
	page Page // ends where the merged page does, as far as is known
	list []webhook.Attempt
	next webhook.ID
}

// add adds the page of an endpoint, which was looked at up to next; zero: to its end.
func (m *attemptMerge) add(list []webhook.Attempt, next webhook.ID) {
	m.list = append(m.list, list...)
	slices.SortFunc(m.list, func(a, b webhook.Attempt) int { return m.compare(a.ID, b.ID) })
	if !next.IsZero() {
		m.endAt(next)
	}
	size := 0
	for i := range m.list {
		size += sizeOfAttempt(&m.list[i])
		if i == m.page.Limit || i > 0 && m.page.Bytes > 0 && size > m.page.Bytes {
			m.endAt(m.list[i-1].ID)
			break
		}
	}
}

// compare orders two IDs in the direction of the page.
func (m *attemptMerge) compare(a, b webhook.ID) int {
	if m.page.Ascending {
		return a.Compare(b)
	}
	return b.Compare(a)
}

// endAt ends the page at id, which is its last one that may be listed.
func (m *attemptMerge) endAt(id webhook.ID) {
	if !m.next.IsZero() && m.compare(m.next, id) <= 0 {
		return
	}
	m.next = id
	m.list = slices.DeleteFunc(m.list, func(a webhook.Attempt) bool { return m.compare(a.ID, id) > 0 })
	if m.page.Ascending {
		m.page.High = neighbor(id, 1)
	} else {
		m.page.Low = neighbor(id, -1)
	}
}

// neighbor returns the ID after or before another one: a limit that excludes all beyond that one.
func neighbor(id webhook.ID, step int) webhook.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i] += byte(step)
		if step > 0 && id[i] != 0 || step < 0 && id[i] != 0xff {
			break
		}
	}
	return id
}
