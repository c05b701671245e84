package faults

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"hookwheel/webhook"
)

// final is what the nodes hold at the end.
type final struct {
	logs     []map[string][]string // by node and application: the ids of the messages, in order of the log
	attempts []map[string]int      // by endpoint: attempts recorded of each message
	retries  []time.Duration       // how long after its time each scheduled retry was made; negative: before
	expired  []int                 // by endpoint: messages counted that left the log while it waited for them
	bounded  bool                  // messages that nobody waits for leave the log by size
	leaps    bool                  // hours passed, so that messages may have expired
}

// verdict is what a checker found.
type verdict struct {
	violations []string
	counts     map[string]int
}

func (v *verdict) wrong(format string, args ...any) {
	v.counts["violations"]++
	if len(v.violations) < 50 {
		v.violations = append(v.violations, fmt.Sprintf(format, args...))
	}
}

// faultMargin is how long before and after a fault its effects may reach: an answer that was under
// way, a time-out of a delivery, an attempt that the next leader makes again.
const faultMargin = 15 * time.Second

// check judges a history.
func check(h *history, endpoints []*endpoint, f *final) *verdict {
	v := &verdict{counts: make(map[string]int)}
	told := v.checkPosts(h)
	missing := v.checkHits(h, endpoints, told)
	v.checkOrder(h, endpoints)
	v.checkMissing(missing, endpoints, told, f)
	if f != nil {
		v.checkLogs(f, told)
		v.checkAttempts(h, f)
		v.countRetries(f)
	}
	return v
}

// retryMargin is what a retry may differ from its time, to count as made in time.
const retryMargin = 2 * time.Second

// countRetries only counts: a probe and the recovery of an endpoint rightly advance retries, and a
// parked endpoint or a fault delays them. The scenarios of the clocks judge retries.
func (v *verdict) countRetries(f *final) {
	for _, late := range f.retries {
		switch {
		case late < -retryMargin:
			v.counts["retries early: probes, endpoints that recovered, clocks"]++
		case late > retryMargin:
			v.counts["retries late: parked or ordered endpoints, faults"]++
		default:
			v.counts["retries in time"]++
		}
	}
}

// checkPosts returns the message id that each acknowledged event was told.
func (v *verdict) checkPosts(h *history) map[int]string {
	told, events := make(map[int]string), make(map[string]int)
	for i := range h.posts {
		p := &h.posts[i]
		v.counts["sent"]++
		if p.Again {
			v.counts["repeated"]++
		}
		switch {
		case p.Status == 202:
			if other, again := events[p.ID]; again && other != p.Event {
				v.wrong("message %s was told to event %d and to event %d", p.ID, other, p.Event)
			}
			if before := told[p.Event]; before != "" && before != p.ID {
				v.wrong("event %d was answered %s, and repeated with the same key %s", p.Event, before, p.ID)
			}
			told[p.Event], events[p.ID] = p.ID, p.Event
		case p.Status == 507:
			v.counts["refused: disk"]++
		case p.Down || inFault(h, p.Start, p.End):
			v.counts["failed at a node that was hit"]++
		default:
			v.wrong("event %d got no 202 from n%d though nothing was wrong with it: status %d, %s", p.Event, p.Node+1, p.Status, p.Failure)
		}
	}
	v.counts["acknowledged"] = len(told)
	return told
}

// inFault reports whether a period overlaps a fault.
func inFault(h *history, from, to time.Time) bool {
	for i := range h.faults {
		if to.After(h.faults[i].Start.Add(-faultMargin)) && from.Before(h.faults[i].Well.Add(faultMargin)) {
			return true
		}
	}
	return false
}

// checkHits: what arrived was sent, under the id that was told; duplicates are about faults. It
// returns, by endpoint, the acknowledged events that have not arrived.
func (v *verdict) checkHits(h *history, endpoints []*endpoint, told map[int]string) (missing [][]int) {
	posted, ids := make(map[int]bool), make(map[int]string)
	for i := range h.posts {
		posted[h.posts[i].Event] = true
	}
	first := make(map[[2]int]time.Time)
	for i := range h.hits {
		hit := &h.hits[i]
		switch {
		case hit.Event == probeEvent:
			continue
		case hit.Forged != "":
			v.wrong("%s arrived with a wrong signature: %s", hit.ID, hit.Forged)
		case hit.Event < 0 || !posted[hit.Event]:
			v.wrong("%s arrived and was never sent", hit.ID)
			continue
		case !endpoints[hit.Endpoint].wants(hit.Event):
			v.wrong("event %d came to endpoint %s, which does not want it", hit.Event, endpoints[hit.Endpoint].uid)
		}
		if id := ids[hit.Event]; id != "" && id != hit.ID {
			v.wrong("event %d was sent once and became two messages: %s and %s", hit.Event, id, hit.ID)
		}
		ids[hit.Event] = hit.ID
		if id := told[hit.Event]; id != "" && id != hit.ID {
			v.wrong("event %d was acknowledged as %s and came as %s", hit.Event, id, hit.ID)
		}
		if !hit.taken() {
			continue
		}
		key := [2]int{hit.Endpoint, hit.Event}
		if before, again := first[key]; !again {
			first[key] = hit.At
			v.counts["delivered"]++
		} else if h.wished(hit) {
			v.counts["sent again by hand"]++
		} else if v.counts["duplicates"]++; !inFault(h, before, hit.At) {
			v.wrong("event %d was delivered twice to endpoint %s, with no fault about", hit.Event, endpoints[hit.Endpoint].uid)
		}
	}
	missing = make([][]int, len(endpoints))
	for event := range told {
		for i, e := range endpoints {
			if _, arrived := first[[2]int{i, event}]; e.wants(event) && !arrived {
				missing[i] = append(missing[i], event)
			}
		}
	}
	return missing
}

// checkMissing: what was acknowledged arrived, or has expired and is counted. More may be counted
// than is missing here: events that were not acknowledged, and those that an endpoint took just
// before the leader was lost.
func (v *verdict) checkMissing(missing [][]int, endpoints []*endpoint, told map[int]string, f *final) {
	kept := make(map[string]bool)
	if f != nil {
		kept = f.kept()
	}
	for i, events := range missing {
		expired := 0
		for _, event := range events {
			if f != nil && f.leaps && !kept[told[event]] {
				expired++
				continue
			}
			v.counts["LOST"]++
			v.wrong("LOST: event %d (%s) was acknowledged and did not come to endpoint %s", event, told[event], endpoints[i].uid)
		}
		if f == nil {
			continue
		}
		v.counts["expired, which did not arrive"] += expired
		v.counts["expired, as counted"] += f.expired[i]
		if f.expired[i] < expired || f.expired[i] > 0 && !f.leaps {
			v.wrong("LOST: %d messages have left the log that did not come to endpoint %s, and %d are counted as expired", expired, endpoints[i].uid, f.expired[i])
		}
	}
}

// kept are the ids of all messages in the log.
func (f *final) kept() map[string]bool {
	kept := make(map[string]bool)
	for _, log := range f.logs[0] {
		for _, id := range log {
			kept[id] = true
		}
	}
	return kept
}

// checkLogs: all nodes have the same log, in order of id, with all that was acknowledged.
func (v *verdict) checkLogs(f *final, told map[int]string) {
	all := make(map[string]bool)
	for app, log := range f.logs[0] {
		for i := 1; i < len(f.logs); i++ {
			if !slices.Equal(log, f.logs[i][app]) {
				v.wrong("the log of %s has %d messages on n1 and %d on n%d, or in another order", app, len(log), len(f.logs[i][app]), i+1)
			}
		}
		ordered := sort.SliceIsSorted(log, func(i, j int) bool { return idOf(log[i]).Compare(idOf(log[j])) < 0 })
		if !ordered {
			v.wrong("the log of %s is not in order of id", app)
		}
		for _, id := range log {
			if all[id] {
				v.wrong("message %s is in the log twice", id)
			}
			all[id] = true
		}
	}
	v.counts["messages in the log"] = len(all)
	for event, id := range told {
		switch {
		case all[id]:
		case f.bounded: // it left by size, which it may once it was delivered, or by age
			v.counts["left the log"]++
		default:
			v.wrong("event %d was acknowledged as %s, which is not in the log", event, id)
		}
	}
}

// checkOrder: an endpoint that keeps an order saw no message before it had taken all that come
// before it in the log, or among those of the same key. What it never took was lost or expired,
// which others judge.
func (v *verdict) checkOrder(h *history, endpoints []*endpoint) {
	type sequence struct {
		endpoint int
		key      string
	}
	hits := make(map[sequence][]*hit)
	for i := range h.hits {
		switch hit := &h.hits[i]; {
		case hit.Event < 0 || endpoints[hit.Endpoint].ordering == "":
		case endpoints[hit.Endpoint].ordering == "key":
			s := sequence{hit.Endpoint, keyOf(hit.Event)}
			hits[s] = append(hits[s], hit)
		default:
			s := sequence{endpoint: hit.Endpoint}
			hits[s] = append(hits[s], hit)
		}
	}
	for s, list := range hits {
		if s.key == "" {
			v.counts["arrivals in order"] += len(list)
		} else {
			v.counts["arrivals in order of key"] += len(list)
		}
		v.checkSequence(fmt.Sprintf("ordered endpoint %s %s", endpoints[s.endpoint].uid, s.key), list)
	}
}

// checkSequence judges the arrivals of one order.
func (v *verdict) checkSequence(name string, list []*hit) {
	slices.SortStableFunc(list, func(a, b *hit) int { return idOf(a.ID).Compare(idOf(b.ID)) })
	var ready time.Time // when all messages before this one had been taken
	before := ""
	for len(list) > 0 {
		same := 1
		for same < len(list) && list[same].ID == list[0].ID {
			same++
		}
		var taken time.Time
		for _, hit := range list[:same] {
			if hit.At.Before(ready) {
				v.wrong("%s saw %s at %s, before it had taken %s at %s", name, hit.ID, hit.At.Format(clockFormat), before, ready.Format(clockFormat))
			}
			if hit.taken() && (taken.IsZero() || hit.End.Before(taken)) {
				taken = hit.End
			}
		}
		if taken.After(ready) {
			ready, before = taken, list[0].ID
		}
		list = list[same:]
	}
}

const clockFormat = "15:04:05.000"

func idOf(text string) webhook.ID {
	id, _ := webhook.ParseID(webhook.KindMessage, text) // the zero ID is out of order and found so
	return id
}

// checkAttempts: what is recorded is what the receivers saw, but for what faults took away.
func (v *verdict) checkAttempts(h *history, f *final) {
	seen := make([]map[string][]time.Time, len(f.attempts))
	for i := range seen {
		seen[i] = make(map[string][]time.Time)
	}
	for i := range h.hits {
		hit := &h.hits[i]
		seen[hit.Endpoint][hit.ID] = append(seen[hit.Endpoint][hit.ID], hit.At)
	}
	kept := f.kept()
	for i, recorded := range f.attempts {
		for id, n := range recorded {
			if len(seen[i][id]) == 0 {
				v.counts["attempts that differ"] += n // made, but cut off before the receiver had read it
				if len(h.faults) == 0 {
					v.wrong("endpoint %d saw none of %d attempts of %s that are recorded, with no fault about", i, n, id)
				}
			}
		}
		for id, hits := range seen[i] {
			if f.bounded && !kept[id] {
				continue // its attempts have left with it
			}
			v.counts["attempts seen"] += len(hits)
			v.counts["attempts recorded"] += recorded[id]
			if recorded[id] == len(hits) {
				continue
			}
			v.counts["attempts that differ"]++
			if !inFault(h, hits[0], hits[len(hits)-1]) {
				v.wrong("endpoint %d saw %d attempts of %s and %d are recorded, with no fault about", i, len(hits), id, recorded[id])
			}
		}
	}
}
