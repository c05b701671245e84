package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"net/url"
)

// page is a page of a list.
type page struct {
	items  []json.RawMessage
	cursor string // of the next page
	more   bool   // there is one
}

// list returns the pages of a list. read decodes the response; parameter is the one of the query
// that takes the cursor.
func list[Response any](ctx context.Context, s *service, path string, query url.Values, parameter string, read func(*Response) (page, error)) iter.Seq2[[]json.RawMessage, error] {
	return func(yield func([]json.RawMessage, error) bool) {
		pager := s.newPager()
		for {
			var response Response
			err := s.get(ctx, path, query, &response)
			var p page
			if err == nil {
				p, err = read(&response)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(p.items, nil) || !p.more {
				return
			}
			if err := pager.next(path, p.cursor); err != nil {
				yield(nil, err)
				return
			}
			query.Set(parameter, p.cursor)
		}
	}
}

// pager makes sure that a list ends.
type pager struct {
	left int
	seed maphash.Seed
	seen map[uint64]bool
}

func (s *service) newPager() *pager {
	return &pager{left: s.pages, seed: maphash.MakeSeed(), seen: make(map[uint64]bool)}
}

// next checks that a cursor leads on.
func (p *pager) next(path, cursor string) error {
	sum := maphash.String(p.seed, cursor)
	p.left--
	switch {
	case cursor == "":
		return fmt.Errorf("%s: the source says that the list goes on, but not where", path)
	case p.seen[sum]:
		return fmt.Errorf("%s: the list of the source does not end: the iterator %q comes again", path, short(cursor))
	case p.left <= 0:
		return fmt.Errorf("%s: the list of the source does not end", path)
	}
	p.seen[sum] = true
	return nil
}

// each calls yield for the items of all pages, as make makes them of JSON.
func each[T any](pages iter.Seq2[[]json.RawMessage, error], make func(json.RawMessage) *T) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for items, err := range pages {
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range items {
				if !yield(make(item), nil) {
					return
				}
			}
		}
	}
}

// chosen returns the applications with these names, each from a path of its own.
func (s *service) chosen(ctx context.Context, names []string, path string, make func(json.RawMessage) *Application) iter.Seq2[*Application, error] {
	return func(yield func(*Application, error) bool) {
		for _, name := range names {
			var item json.RawMessage
			err := fmt.Errorf("%q can't be its id", name)
			if name != "" && name != "." && name != ".." {
				err = s.get(ctx, path+url.PathEscape(name), nil, &item)
			}
			if err != nil {
				yield(nil, fmt.Errorf("application %s: %w", name, err))
				return
			}
			if !yield(make(item), nil) {
				return
			}
		}
	}
}
