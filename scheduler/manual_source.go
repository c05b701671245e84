package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// manualSource takes what a user or a task asked for.
type manualSource struct{ lane *lane }

func (s manualSource) wants(time.Time) bool { return s.lane.manual.wants() }

func (s manualSource) ready(now time.Time) bool { return s.lane.manual.next(s.takesTasks(now)) >= 0 }

// takesTasks reports whether messages of tasks may be sent now. A parked endpoint gets them only
// with the next probe.
func (s manualSource) takesTasks(now time.Time) bool {
	h := &s.lane.breaker.health
	return !h.Parked || !h.NextProbe.After(now)
}

// load reads the first part of the set, with the lines of tasks if one of them may be sent.
func (s manualSource) load(now time.Time) bool {
	l, m := s.lane, &s.lane.manual
	tasks := s.takesTasks(now)
	if !m.wantsLines(tasks) {
		return false
	}
	tasks = tasks && m.replayed.IsZero()
	endpoint, limit := l.endpoint.ID, min(maxManual, l.scheduler.linesPerLane())+len(m.out)
	m.beginReading()
	var lines []webhook.Manual
	ok := l.outside("the manual set", func() (err error) {
		lines, err = l.scheduler.backlog.Manual(endpoint, tasks, limit)
		return err
	})
	if ok {
		m.receive(lines, tasks, limit)
	} else {
		m.failReading()
	}
	return true
}

func (s manualSource) next(now time.Time) (c candidate, found bool) {
	l := s.lane
	line := l.manual.take(l.manual.next(s.takesTasks(now)))
	if !line.Task.IsZero() && !l.scheduler.backlog.TaskRuns(line.Task) { // the line has left the set with it, or is read when the task goes on
		l.manual.settle(line.Message)
		return c, false
	}
	c.Delivery = webhook.Delivery{ID: line.Message, Endpoint: l.endpoint, Source: webhook.SourceManual, Number: line.Number, Task: line.Task, Retry: line.Retry}
	c.wanted = true // by the user who asked
	return c, true
}

func (s manualSource) giveBack(c candidate) { s.lane.manual.giveBack(c.ID) }

func (s manualSource) leaves(c candidate, sent bool) {
	if l := s.lane; sent && !c.Task.IsZero() && l.order.ordering != webhook.OrderingNone {
		l.manual.replayed = c.ID
	}
}
