package faults

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// story is a small history in which all is well: ten events, each acknowledged and delivered where
// it is wanted.
func story() (*history, *final) {
	h := &history{}
	f := &final{logs: make([]map[string][]string, 3), attempts: make([]map[string]int, len(newEndpoints())), expired: make([]int, len(newEndpoints()))}
	for i := range f.logs {
		f.logs[i] = make(map[string][]string)
	}
	for i := range f.attempts {
		f.attempts[i] = make(map[string]int)
	}
	start := time.Now().Add(-time.Hour)
	for event := range 10 {
		id := webhook.NewID(int64(1000+event), uint64(event+1), 0).Text(webhook.KindMessage)
		at := start.Add(time.Duration(event) * time.Second)
		h.posts = append(h.posts, post{Event: event, Start: at, End: at, Status: 202, ID: id})
		for i, e := range newEndpoints() {
			if e.wants(event) {
				h.hits = append(h.hits, hit{Endpoint: i, Event: event, ID: id, At: at, End: at, Status: 200})
				f.attempts[i][id]++
			}
		}
		for i := range f.logs {
			f.logs[i][appOf(event)] = append(f.logs[i][appOf(event)], id)
		}
	}
	return h, f
}

// expire has event 0 leave the log, when hours have passed, before the first endpoint has taken it.
func expire(h *history, f *final) {
	f.bounded, f.leaps = true, true
	h.hits[0].Status = 500
	for i := range f.logs {
		f.logs[i]["app0"] = f.logs[i]["app0"][1:]
	}
}

// The checker finds each thing that can be wrong, and nothing in a history in which all is well.
func TestChecker(t *testing.T) {
	tests := map[string]struct {
		spoil func(h *history, f *final)
		want  string // empty: nothing is found
	}{
		"all is well": {func(*history, *final) {}, ""},
		"lost": {func(h *history, _ *final) {
			h.hits = slices.DeleteFunc(h.hits, func(x hit) bool { return x.Event == 3 && x.Endpoint == 4 })
		}, "LOST: event 3"},
		"expired and counted":  {func(h *history, f *final) { expire(h, f); f.expired[0] = 1 }, ""},
		"expired uncounted":    {expire, "and 0 are counted"},
		"expired too early":    {func(h *history, f *final) { expire(h, f); f.expired[0], f.leaps = 1, false }, "LOST"},
		"counted, not expired": {func(_ *history, f *final) { f.expired[0] = 1 }, "1 are counted"},
		"lost when hours pass": {func(h *history, f *final) {
			expire(h, f)
			f.logs[0]["app0"] = append([]string{h.posts[0].ID}, f.logs[0]["app0"]...)
		}, "LOST: event 0"},
		"answered 500 only": {func(h *history, _ *final) { h.hits[0].Status = 500 }, "LOST: event 0"},
		"invented":          {func(h *history, _ *final) { h.hits[0].Event = unknownEvent }, "arrived and was never sent"},
		"event not posted":  {func(h *history, _ *final) { h.hits[0].Event = 400 }, "arrived and was never sent"},
		"forged":            {func(h *history, _ *final) { h.hits[0].Forged = "no signature" }, "wrong signature"},
		"not wanted":        {func(h *history, _ *final) { h.hits[0].Endpoint = 3 }, "does not want it"},
		"two messages of one POST": {func(h *history, _ *final) {
			again := h.hits[0]
			again.ID = h.posts[9].ID
			h.hits = append(h.hits, again)
		}, "became two messages"},
		"another id than told": {func(h *history, _ *final) { h.posts[0].ID = webhook.NewID(5, 5, 5).Text(webhook.KindMessage) }, "and came as"},
		"one id for two":       {func(h *history, _ *final) { h.posts[1].ID = h.posts[0].ID }, "was told to event 0 and to event 1"},
		"duplicate":            {func(h *history, _ *final) { h.hits = append(h.hits, h.hits[0]) }, "delivered twice"},
		"duplicate about a fault": {func(h *history, f *final) {
			h.hits = append(h.hits, h.hits[0])
			h.faults = []fault{{Start: h.hits[0].At, Well: h.hits[0].At}}
		}, ""},
		"duplicate by hand": {func(h *history, f *final) {
			again := h.hits[0]
			again.At = again.At.Add(time.Second)
			again.End = again.At
			h.hits = append(h.hits, again)
			f.attempts[again.Endpoint][again.ID]++
			h.byHand = []manual{{Endpoint: again.Endpoint, ID: again.ID, At: again.At.Add(-time.Millisecond)}}
		}, ""},
		"repeated": {func(h *history, _ *final) { h.posts = append(h.posts, h.posts[0]) }, ""},
		"repeated with another answer": {func(h *history, _ *final) {
			again := h.posts[0]
			again.ID = webhook.NewID(7, 7, 7).Text(webhook.KindMessage)
			h.posts = append(h.posts, again)
		}, "repeated with the same key"},
		"out of order of a key": {func(h *history, _ *final) {
			keyed := slices.IndexFunc(newEndpoints(), func(e *endpoint) bool { return e.ordering == "key" })
			for i := range h.hits {
				if h.hits[i].Endpoint == keyed && h.hits[i].Event == 0 {
					h.hits[i].End = h.hits[i].End.Add(time.Hour)
				}
			}
		}, "before it had taken"},
		"out of order": {func(h *history, _ *final) {
			first := slices.IndexFunc(h.hits, func(x hit) bool { return x.Endpoint == 5 })
			second := first + 1 + slices.IndexFunc(h.hits[first+1:], func(x hit) bool { return x.Endpoint == 5 })
			h.hits[first].At, h.hits[second].At = h.hits[second].At, h.hits[first].At
			h.hits[first].End, h.hits[second].End = h.hits[second].End, h.hits[first].End
		}, "before it had taken"},
		"failed call": {func(h *history, _ *final) { h.posts[0].Status, h.posts[0].ID = 503, "" }, "got no 202"},
		"failed call at a node that was hit": {func(h *history, _ *final) {
			h.posts[0].Status, h.posts[0].ID, h.posts[0].Down = 0, "", true
		}, ""},
		"logs differ": {func(_ *history, f *final) { f.logs[2]["app0"] = f.logs[2]["app0"][1:] }, "messages on n1"},
		"logs in another order": {func(_ *history, f *final) {
			for i := range f.logs {
				slices.Reverse(f.logs[i]["app1"])
			}
		}, "not in order of id"},
		"not in the log": {func(_ *history, f *final) {
			for i := range f.logs {
				f.logs[i]["app0"] = f.logs[i]["app0"][1:]
			}
		}, "not in the log"},
		"attempt not recorded": {func(h *history, f *final) { f.attempts[0][h.posts[0].ID]-- }, "0 are recorded"},
		"attempt invented":     {func(h *history, f *final) { f.attempts[0][h.posts[0].ID]++ }, "2 are recorded"},
		"attempt never made": {func(h *history, f *final) {
			f.attempts[1][webhook.NewID(9, 9, 9).Text(webhook.KindMessage)] = 1
		}, "saw none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h, f := story()
			test.spoil(h, f)
			v := check(h, newEndpoints(), f)
			found := fmt.Sprint(v.violations)
			if test.want == "" && len(v.violations) > 0 || !strings.Contains(found, test.want) {
				t.Errorf("it found %v, want %q", found, test.want)
			}
		})
	}
}
