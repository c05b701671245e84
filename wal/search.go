package wal

import (
	"cmp"

	"hookwheel/webhook"
)

// How many records a search reads for one page, and how many bytes of them. If the filter matches
// hardly anything, the page ends there and the next one continues.
const (
	maxLooked = 5000
	maxRead   = 20 << 20
)

// search collects a page of the items that pass a filter.
type search[T any] struct {
	page   Page
	id     func(*T) webhook.ID
	want   func(*T) (bool, error)
	keep   func(*T) int // copies an item out of its chunk and returns its size in bytes
	list   []T
	bytes  int        // of list
	next   webhook.ID // From of the next page; zero: this is the last page
	looked int
	read   int        // bytes
	limit  int        // of looked; 0: maxLooked. read is limited in proportion
	last   webhook.ID // ID of the last item looked at
}

// hasRead counts bytes of a record that was read.
func (s *search[T]) hasRead(bytes int) {
	s.read += bytes
}

// isOver reports whether the search has read enough. It has looked at one item at least, so that
// each page gets on.
func (s *search[T]) isOver() bool {
	limit := cmp.Or(s.limit, maxLooked)
	return s.looked >= limit || s.read >= maxRead/maxLooked*limit && !s.last.IsZero()
}

// take looks at the items of one chunk, in the direction of the page. It stops at the page's
// bounds, when it has looked at enough items, and when it finds one more than fits on the page,
// which shows that there is a next page.
func (s *search[T]) take(chunk []T) error {
	for i := range chunk {
		item := &chunk[i]
		if !s.page.Ascending {
			item = &chunk[len(chunk)-1-i]
		}
		id := s.id(item)
		switch {
		case s.page.isPast(id):
			return errStop
		case !s.page.contains(id):
			continue
		case s.isOver():
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

// add appends an item to the page, and reports whether there was room for it. The first item always
// fits.
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
