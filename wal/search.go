package wal

import "hookwheel/webhook"

// maxLooked is at how many records a search looks for one page: with a filter that hardly anything passes it ends there, and the next
// page goes on.
const maxLooked = 5000

// search gathers a page of what passes a filter.
type search[T any] struct {
	page   Page
	id     func(*T) webhook.ID
	want   func(*T) (bool, error)
	keep   func(*T) int // takes an item out of its chunk and returns its size in bytes
	list   []T
	bytes  int        // of list
	next   webhook.ID // From of the next page; zero: there is no more
	looked int
	last   webhook.ID // that was looked at
}

// take looks at the items of one chunk, in the direction of the page. It stops once there is one more than the page holds, which tells
// that there is more, at the end of the page's bounds, and when it has looked at enough.
func (s *search[T]) take(chunk []T) error {
	for i := range chunk {
		item := &chunk[i]
		if !s.page.Ascending {
			item = &chunk[len(chunk)-1-i]
		}
		id := s.id(item)
		switch {
		case s.page.over(id):
			return errStop
		case !s.page.holds(id):
			continue
		case s.looked >= maxLooked:
			s.next = s.last
			return errStop
		}
		s.looked++
		wanted, err := s.want(item)
		switch {
		case err != nil:
			return err
		case wanted && !s.add(*item):
			s.next = s.id(&s.list[len(s.list)-1])
			return errStop
		}
		s.last = id
	}
	return nil
}

// add takes an item into the page, and reports whether there was room for it. The first one always has room.
func (s *search[T]) add(item T) bool {
	if len(s.list) == s.page.Limit {
		return false
	}
	s.bytes += s.keep(&item)
	if s.page.Bytes > 0 && s.bytes > s.page.Bytes && len(s.list) > 0 {
		return false
	}
	s.list = append(s.list, item)
	return true
}
