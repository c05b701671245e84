package scheduler

import (
	"fmt"
	"testing"

	"hookwheel/webhook"
)

// A line is handed out once, however often the set is read before its outcome is recorded, and
// again if it is asked for again.
func TestManualSetHandsOutOnce(t *testing.T) {
	m := manualSet{more: true}
	line := func(place uint32) webhook.Manual {
		return webhook.Manual{Message: webhook.NewID(1_790_000_000_000, 1, place)}
	}
	one, two := line(1), line(2)
	steps := []struct {
		what string
		do   func()
		want string // messages in memory, and whether the set is to be read
	}{
		{"new", func() {}, "[] true"},
		{"read", func() { m.beginReading(); m.receive([]webhook.Manual{one}, true, 10) }, "[1] false"},
		{"handed out", func() { m.take(0) }, "[] false"},
		{"read before it is recorded", func() { m.beginReading(); m.receive([]webhook.Manual{one, two}, true, 10) }, "[2] false"},
		{"recorded while a read is under way that saw it", func() { m.beginReading(); m.settle(one.Message); m.receive([]webhook.Manual{one, two}, true, 10) }, "[2] true"},
		{"read after that", func() { m.beginReading(); m.receive([]webhook.Manual{two}, true, 10) }, "[2] false"},
		{"asked for again", func() { m.beginReading(); m.receive([]webhook.Manual{one, two}, true, 10) }, "[1 2] false"},
		{"not to be had now", func() { m.giveBack(m.take(0).Message) }, "[2] true"},
		{"recorded while a read is under way that fails", func() { m.beginReading(); m.settle(one.Message); m.failReading() }, "[2] true"},
		{"read again", func() { m.beginReading(); m.receive([]webhook.Manual{one, two}, true, 10) }, "[1 2] false"},
		{"a full page", func() { m.beginReading(); m.receive([]webhook.Manual{one, two}, true, 2) }, "[1 2] true"},
	}
	for _, step := range steps {
		step.do()
		var places []uint32
		for _, l := range m.lines {
			places = append(places, l.Message.Place())
		}
		if got := fmt.Sprint(places, m.more); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
	}
}
