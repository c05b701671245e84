package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// source is one of the records from which a lane takes messages: its log, its retry set, its held
// set or its manual set. The methods are called with the scheduler's lock held; load and next may
// release it while they read the store.
type source interface {
	// wants reports whether the source has, or may have, something for the lane, now or when the
	// lane is ready.
	wants(now time.Time) bool
	// load reads what has to be known before the lane can send anything, from whichever source. It
	// returns false if there is nothing to read.
	load(now time.Time) bool
	// ready reports whether next may find something now.
	ready(now time.Time) bool
	// next takes out the message that is to be sent next. found is false if there turned out to be
	// none, or not yet.
	next(now time.Time) (c candidate, found bool)
	// giveBack returns what next took out, because it can't be sent now.
	giveBack(c candidate)
	// leaves notes that what next took out is sent, or is canceled.
	leaves(c candidate, sent bool)
}

// candidate is a message that a source has given for a delivery.
type candidate struct {
	webhook.Delivery
	source source
	key    uint64 // with which the store has it in the retry or the held set
	line   *retry // of the retry set
	wanted bool   // the filters of the endpoint need not be asked
}

func (l *lane) source(kind webhook.Source) source {
	switch kind {
	case webhook.SourceManual:
		return manualSource{l}
	case webhook.SourceRetry:
		return retrySource{l}
	case webhook.SourceHeld:
		return heldSource{l}
	default:
		return logSource{l}
	}
}

// allSources are the sources in their order, of which one that was just served is the last.
var allSources = [...]webhook.Source{webhook.SourceManual, webhook.SourceRetry, webhook.SourceHeld, webhook.SourceLog}

// maxProbeHolds is how many messages are held behind others of their keys until a probe is found
// for an endpoint that keeps an order per key. Probing is to cost little, however much waits.
const maxProbeHolds = 64

// turns returns the sources of a lane in the order in which they are asked. They take turns, also
// with probes, and when the endpoint has just recovered: otherwise a message that it always refuses
// would keep it parked, although it takes others. But an endpoint that is parked and ordered as a
// whole gets what has waited longest first, and one that waits for its next probe gets what a user
// sends.
func (l *lane) turns(now time.Time) (order [len(allSources)]source) {
	h := &l.breaker.health
	oldestFirst := h.NextProbe.After(now) || l.order.ordering == webhook.OrderingEndpoint || l.holds >= maxProbeHolds
	first := 0
	if !h.Parked || !oldestFirst {
		for allSources[first] != l.last {
			first++
		}
		first++
	}
	for i := range order {
		order[i] = l.source(allSources[(first+i)%len(allSources)])
	}
	return order
}

// wants reports whether a turn of this lane may find something to send, as far as is known in
// memory.
func (l *lane) wants(now time.Time) bool {
	for _, kind := range allSources {
		if l.source(kind).wants(now) {
			return true
		}
	}
	return false
}

// load reads what the lane must know before it can send. It returns false if nothing is missing.
func (l *lane) load(now time.Time) bool {
	for _, s := range [...]source{heldSource{l}, manualSource{l}, retrySource{l}, logSource{l}} {
		if s.load(now) {
			return true
		}
	}
	return false
}

// takeTurn takes one delivery from a lane. It may have to read the store for that, and then finds
// nothing yet.
func (s *Scheduler) takeTurn(l *lane) (d webhook.Delivery, found bool) {
	now := s.clock()
	if ok, _ := s.mayTurn(l); !ok || l.load(now) {
		return d, false
	}
	if l.early.once && !l.breaker.health.Parked && (retrySource{l}).probeLine(now) == nil {
		l.early.once = false // nothing waits
	}
	for _, source := range l.turns(now) {
		if source.ready(now) {
			c, found := source.next(now)
			if !found {
				return d, false
			}
			c.source = source
			return s.handOut(l, &c)
		}
	}
	return d, false
}

// handOut hands out a candidate, or decides what happens to it instead.
func (s *Scheduler) handOut(l *lane, c *candidate) (d webhook.Delivery, found bool) {
	fetched := l.fetch(c)
	switch {
	case l.state == gone || c.Source == webhook.SourceRetry && l.retries.isMoot(c.ID, c.Due):
		return d, false
	case !fetched:
		c.source.giveBack(*c)
		return d, false
	}
	why := l.refusal(c)
	switch {
	case why != "":
		c.source.leaves(*c, false)
		l.cancel(c, why)
	case c.Source == webhook.SourceLog && c.Message.DeliverAt.After(s.clock()):
		l.decide(webhook.Outcome{Source: c.Source, Attempt: webhook.Attempt{Message: c.ID, Endpoint: l.endpoint.ID, Next: c.Message.DeliverAt}})
	case l.order.holdsBack(&c.Delivery):
		l.hold(&c.Delivery, l.order.keyOf(c.Message))
	case !s.workers.hasRoom(l, c.Message):
		c.source.giveBack(*c)
	default:
		c.source.leaves(*c, true)
		return l.depart(&c.Delivery), true
	}
	return d, false
}

// fetch reads the message of a candidate, unless it is in memory and current. The message is nil
// if it has left the log. If fetch returns false, it can't be read now or the lane is gone.
func (l *lane) fetch(c *candidate) (ok bool) {
	backlog, app := l.scheduler.backlog, l.endpoint.App
	inMemory, expunged := c.Message, l.tail.expunged
	if inMemory != nil && !backlog.MayHaveLeft(c.ID) {
		return true
	}
	ok = l.outside("a message", func() (err error) {
		if c.Message, err = backlog.MessageByID(app, c.ID); webhook.ErrorCode(err) == webhook.CodeNotFound {
			c.Message, err = nil, nil
		}
		return err
	})
	c.Endpoint = l.endpoint // which may have changed
	if ok && c.Message != nil && l.tail.expunged != expunged {
		c.Message, inMemory, ok = nil, nil, false
	}
	if !ok && l.state != gone {
		c.Message = inMemory // which is sent if the store fails
	}
	return ok || l.state != gone && inMemory != nil
}

// decide records an outcome that is not the result of an attempt.
func (l *lane) decide(o webhook.Outcome) {
	l.pending++
	l.scheduler.unrecorded.decide(o)
}

// hold puts a message behind another of its key.
func (l *lane) hold(d *webhook.Delivery, key uint64) {
	l.order.hold(key, d.ID)
	l.holds++
	l.decide(webhook.Outcome{Source: d.Source, Due: d.Due, Hold: true, Key: key, Attempt: webhook.Attempt{Message: d.ID, Endpoint: l.endpoint.ID}})
}

const (
	whyExpired  = "the message has expired"
	whyExpunged = "the payload was expunged before it was sent"
)

// refusal returns why a message is not sent; empty: it is.
func (l *lane) refusal(c *candidate) (why string) {
	switch m := c.Message; {
	case m == nil:
		return whyExpired
	case m.Expunged:
		return whyExpunged
	case !c.wanted && !l.isWanted(m):
		return "it no longer matches the endpoint's filters (" + string(l.endpoint.Filter(m)) + ")"
	default:
		return ""
	}
}

// cancel records that a message is no longer sent, and why. If the store has it with a key, the key
// is unblocked.
func (l *lane) cancel(c *candidate, why string) {
	a := webhook.Attempt{Message: c.ID, Endpoint: l.endpoint.ID, URL: l.endpoint.URL, Number: c.Number, Status: webhook.StatusCanceled,
		Start: l.scheduler.clock().Truncate(time.Millisecond).UTC(), Response: []byte("not sent: " + why), Task: c.Task}
	if c.Source == webhook.SourceManual {
		a.Trigger = webhook.TriggerManual
	}
	l.decide(webhook.Outcome{Source: c.Source, Due: c.Due, Spent: c.Spent, Key: c.key, Attempt: a})
}
