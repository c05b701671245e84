package httpapi

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	defaultLimit = 50
	maxLimit     = 250
	maxListed    = 100 // values of one parameter
)

// query reads the parameters of a query. err is the first fault; what is read after it is not used.
type query struct {
	args  *fasthttp.Args
	paced *pacedRead
	err   error
}

// fail records a fault unless there was one before.
func (q *query) fail(parameter, detail string) {
	if q.err == nil {
		q.err = invalidQuery{webhook.Invalid(parameter, detail)}
	}
}

func (q *query) has(name string) bool { return q.args.Has(name) }

// text returns a parameter, or "". Nothing has a name that is not UTF-8, but a list that found
// nothing would not say that it was asked for the impossible.
func (q *query) text(name string) string { return q.decode(name, q.args.Peek(name)) }

func (q *query) decode(name string, value []byte) string {
	if !utf8.Valid(value) {
		q.fail(name, "must be UTF-8")
	}
	return string(value)
}

func (q *query) bool(name string, otherwise bool) bool {
	if !q.has(name) {
		return otherwise
	}
	switch text := q.text(name); text {
	case "true", "false":
		return text == "true"
	default:
		q.fail(name, "must be true or false")
		return otherwise
	}
}

// number returns a whole number that is not negative.
func (q *query) number(name string) (n int, valid bool) {
	n, err := q.args.GetUint(name)
	return n, err == nil
}

// time returns a time, or zero if the query has none.
func (q *query) time(name string) time.Time {
	if !q.has(name) {
		return time.Time{}
	}
	// A plus sign that was not escaped arrives as a space.
	t, valid := parseInstant(strings.ReplaceAll(q.text(name), " ", "+"))
	if !valid {
		q.fail(name, badInstant)
	}
	return t
}

// list reads a,b as well as name[]=a&name[]=b and name[0]=a.
func (q *query) list(name string) (list []string) {
	for key, value := range q.args.All() {
		k := string(key)
		if k != name && !(strings.HasPrefix(k, name+"[") && strings.HasSuffix(k, "]")) {
			continue
		}
		for item := range strings.SplitSeq(q.decode(name, value), ",") {
			if item != "" {
				list = append(list, item)
			}
			if len(list) > maxListed {
				q.fail(name, fmt.Sprintf("must have at most %d values", maxListed))
				return nil
			}
		}
	}
	return list
}

// limit returns how many items a page may have.
func (q *query) limit() int {
	if !q.has("limit") {
		return defaultLimit
	}
	limit, err := strconv.Atoi(q.text("limit"))
	if err != nil || limit < 1 || limit > maxLimit {
		q.fail("limit", fmt.Sprintf("must be a number from 1 to %d", maxLimit))
	}
	return limit
}

// ascending reads the parameter order.
func (q *query) ascending(otherwise bool) bool {
	if !q.has("order") {
		return otherwise
	}
	switch order := q.text("order"); order {
	case "ascending", "descending":
		return order == "ascending"
	default:
		q.fail("order", "must be ascending or descending")
		return otherwise
	}
}

const badIterator = "must be the iterator or prevIterator of a page of this list"

// listing reads limit and iterator. The client sees the items in that order.
func (q *query) listing(kind webhook.Kind, ascending bool) listing {
	l := listing{kind: kind, paced: q.paced}
	l.Limit = q.limit()
	if iterator := q.text("iterator"); iterator != "" {
		iterator, l.backward = strings.CutPrefix(iterator, "-")
		var err error
		if l.From, err = webhook.ParseID(kind, iterator); err != nil {
			q.fail("iterator", badIterator)
		}
	}
	l.Ascending = ascending != l.backward
	return l
}

// listingByTime also reads before and after, for lists that show the newest items first. With after
// and without an iterator, the page holds the oldest items after that time.
func (q *query) listingByTime(kind webhook.Kind) listing {
	l := q.listing(kind, false)
	after, before := q.time("after"), q.time("before")
	if !before.IsZero() {
		l.High = webhook.NewID(before.UnixMilli(), 0, 0)
	}
	if !after.IsZero() {
		l.Low = webhook.NewID(after.UnixMilli()+4, 0, 0) // ids are exact to 4 ms
		if l.From.IsZero() {
			l.backward, l.Ascending = true, true
		}
	}
	return l
}

// recordedWithin is more than passes between the beginning of an attempt and its record, whose ID
// has the time of that: the longest time-out, and the time that a cluster takes for a leader.
const recordedWithin = 10 * time.Minute

// attemptsByTime is listingByTime for attempts, whose timestamp is when they began. It is not the
// time in the ID, so the page is only narrowed by IDs, and the filter decides.
func (q *query) attemptsByTime(filter *wal.AttemptFilter) listing {
	l := q.listingByTime(webhook.KindAttempt)
	filter.After, filter.Before = q.time("after"), q.time("before")
	if !filter.After.IsZero() {
		l.Low = webhook.NewID(filter.After.UnixMilli()-4, 0, 0)
	}
	if !filter.Before.IsZero() {
		l.High = webhook.NewID(filter.Before.Add(recordedWithin).UnixMilli(), 0, 0)
	}
	return l
}

// status returns the status of an attempt, or nil if the query has none.
func (q *query) status() *webhook.Status {
	if !q.has("status") {
		return nil
	}
	status, valid := q.number("status")
	if !valid || status > int(webhook.StatusCanceled) {
		q.fail("status", "must be 0 (success), 1 (pending), 2 (fail), 3 (sending) or 4 (canceled)")
		return nil
	}
	return new(webhook.Status(status))
}

const maxSearch = 256 // bytes

// search returns the text that a list is searched for, or "".
func (q *query) search() string {
	text := q.text("search")
	if len(text) > maxSearch {
		q.fail("search", fmt.Sprintf("must not be longer than %d bytes", maxSearch))
	}
	return text
}

// messageFilter reads what lists of messages and of attempts can be narrowed by.
func (q *query) messageFilter() wal.MessageFilter {
	return wal.MessageFilter{EventTypes: q.list("event_types"), Channel: q.text("channel"), Tag: q.text("tag")}
}
