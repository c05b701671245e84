package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	defaultLimit = 50
	maxLimit     = 250
)

// listing is one page of a list as a client asks for it: an iterator is the id of the last item of the page before, or
// "-" and the id of its first item to go back.
type listing struct {
	wal.Page
	kind     webhook.Kind
	backward bool // the walk goes against the order that the client sees
}

// parseListing reads limit and iterator; the client sees the items in that order.
func parseListing(args *fasthttp.Args, kind webhook.Kind, ascending bool) (l listing, err error) {
	l = listing{kind: kind}
	if l.Limit, err = parseLimit(args); err != nil {
		return l, err
	}
	if iterator := string(args.Peek("iterator")); iterator != "" {
		iterator, l.backward = strings.CutPrefix(iterator, "-")
		if l.From, err = webhook.ParseID(kind, iterator); err != nil {
			return l, badQuery("iterator", "must be the iterator or prevIterator of a page of this list")
		}
	}
	l.Ascending = ascending != l.backward
	return l, nil
}

// parseLimit reads how many items a page may have.
func parseLimit(args *fasthttp.Args) (int, error) {
	if !args.Has("limit") {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(string(args.Peek("limit")))
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, badQuery("limit", fmt.Sprintf("must be a number from 1 to %d", maxLimit))
	}
	return limit, nil
}

// parseOrder reads order, which lists of applications and endpoints have.
func parseOrder(args *fasthttp.Args, ascending bool) (bool, error) {
	if !args.Has("order") {
		return ascending, nil
	}
	switch order := string(args.Peek("order")); order {
	case "ascending", "descending":
		return order == "ascending", nil
	default:
		return false, badQuery("order", "must be ascending or descending")
	}
}

// parseTimes reads before and after, which lists of messages and attempts have; these are seen newest first. With after and no
// iterator the page begins at that time and holds the oldest items after it.
func (l *listing) parseTimes(args *fasthttp.Args) error {
	after, err := parseTime(args, "after")
	if err != nil {
		return err
	}
	before, err := parseTime(args, "before")
	if err != nil {
		return err
	}
	if !before.IsZero() {
		l.High = webhook.NewID(before.UnixMilli(), 0, 0)
	}
	if !after.IsZero() {
		l.Low = webhook.NewID(after.UnixMilli()+4, 0, 0) // ids are exact to 4 ms
		if l.From.IsZero() {
			l.backward, l.Ascending = true, true
		}
	}
	return nil
}

// parseTime reads a time; zero: it is not given.
func parseTime(args *fasthttp.Args, name string) (time.Time, error) {
	if !args.Has(name) {
		return time.Time{}, nil
	}
	// A plus sign that was not escaped arrives as a space.
	t, valid := parseInstant(strings.ReplaceAll(string(args.Peek(name)), " ", "+"))
	if !valid {
		return time.Time{}, badQuery(name, badInstant)
	}
	return t, nil
}

// listResponse is a page as the client gets it.
type listResponse struct {
	Data         []json.RawMessage `json:"data"`
	Iterator     *string           `json:"iterator"`
	PrevIterator *string           `json:"prevIterator,omitempty"`
	Done         bool              `json:"done"`
}

// respond turns the items of a walk into a page.
func respond[T, Out any](l listing, items []T, more bool, id func(*T) webhook.ID, out func(*T) Out) (answer, error) {
	var next webhook.ID
	if more {
		next = id(&items[len(items)-1])
	}
	return respondUpTo(l, items, next, id, func(item *T) (Out, error) { return out(item), nil })
}

// respondUpTo is respond for a search, which may end before the page is full: the client goes on from where it has looked,
// next; zero: it came to the end.
func respondUpTo[T, Out any](l listing, items []T, next webhook.ID, id func(*T) webhook.ID, out func(*T) (Out, error)) (answer, error) {
	page, err := fillPage(l, items, next, id, out)
	return answer{fasthttp.StatusOK, page}, err
}

func fillPage[T, Out any](l listing, items []T, next webhook.ID, id func(*T) webhook.ID, out func(*T) (Out, error)) (page listResponse, err error) {
	if page.Data, err = fill(items, out); err != nil {
		return page, err
	}
	last, first := next, webhook.ID{}
	if len(page.Data) > 0 {
		first = id(&items[0])
	}
	if rest := items[len(page.Data):]; len(rest) > 0 || len(items) > 0 && next.IsZero() {
		last = id(&items[len(page.Data)-1])
	}
	page.Done = next.IsZero() && len(page.Data) == len(items)
	if l.backward {
		slices.Reverse(page.Data)
		last, first = first, last
	}
	if !last.IsZero() {
		page.Iterator = new(last.Text(l.kind))
	}
	if !first.IsZero() {
		page.PrevIterator = new("-" + first.Text(l.kind))
	}
	return page, nil
}

// fill writes items, as many as a page may have bytes, but at least one.
func fill[T, Out any](items []T, out func(*T) (Out, error)) ([]json.RawMessage, error) {
	list, size := make([]json.RawMessage, 0, len(items)), 0
	for i := range items {
		shown, err := out(&items[i])
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(shown)
		if err != nil {
			return nil, err
		}
		if size += len(text); size > pageBytes && i > 0 {
			break
		}
		list = append(list, text)
	}
	return list, nil
}

// parseBool reads a flag of the query.
func parseBool(args *fasthttp.Args, name string, otherwise bool) (bool, error) {
	if !args.Has(name) {
		return otherwise, nil
	}
	switch text := string(args.Peek(name)); text {
	case "true", "false":
		return text == "true", nil
	default:
		return false, badQuery(name, "must be true or false")
	}
}

const maxListed = 100 // values of one parameter

// parseList reads a,b as well as name[]=a&name[]=b and name[0]=a.
func parseList(args *fasthttp.Args, name string) (list []string, err error) {
	for key, value := range args.All() {
		k := string(key)
		if k != name && !(strings.HasPrefix(k, name+"[") && strings.HasSuffix(k, "]")) {
			continue
		}
		for item := range strings.SplitSeq(string(value), ",") {
			if item != "" {
				list = append(list, item)
			}
			if len(list) > maxListed {
				return nil, badQuery(name, fmt.Sprintf("must have at most %d values", maxListed))
			}
		}
	}
	return list, nil
}
