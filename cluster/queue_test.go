package cluster

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func atOnce(int) {} // see StateMachine.Ready

func pushAll(q *queue, flow string, count, size int) (list []*proposal) {
	for range count {
		p := &proposal{cost: size, flow: flow}
		q.push(p)
		list = append(list, p)
	}
	return list
}

// However many commands of one flow wait, and however large they are, that of another is in one of
// the next two batches.
func TestFlowsTakeTurns(t *testing.T) {
	for name, size := range map[string]int{"tiny": 1, "small": 1 << 10, "medium": largeCommand, "large": 1 << 20, "largest": maxCommand} {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{maxBatchBytes, maxLargeBatch} {
				q := newQueue()
				pushAll(q, "flood", 1000, size)
				q.take(limit)
				other := pushAll(q, "other", 1, min(size, 100))[0]
				if next := slices.Concat(q.take(limit), q.take(limit)); !slices.Contains(next, other) {
					t.Errorf("it waits for more than two batches of %d bytes", limit)
				}
			}
		})
	}
}

// Flows with commands of any size get as many bytes as the others.
func TestFlowsShareBytes(t *testing.T) {
	q := newQueue()
	pushAll(q, "large", 100, 1<<20)
	pushAll(q, "small", 100_000, leastCost)
	sent := make(map[string]int)
	for sent["large"]+sent["small"] < 20<<20 {
		for _, p := range q.take(maxBatchBytes) {
			sent[p.flow] += p.cost
		}
	}
	if sent["large"] < 9<<20 || sent["small"] < 9<<20 {
		t.Errorf("the shares are %v", sent)
	}
}

// A command whose caller gives up leaves the queue, and a flow without commands leaves nothing.
func TestQueueForgets(t *testing.T) {
	q := newQueue()
	a, b := pushAll(q, "a", 3, 10), pushAll(q, "b", 1, 10)
	q.remove(a[1])
	q.remove(b[0])
	if batch := q.take(maxBatchBytes); len(batch) != 2 || batch[0] != a[0] || batch[1] != a[2] {
		t.Errorf("took %d, want the first and the last", len(batch))
	}
	q.remove(a[0]) // is taken already
	if q.len() != 0 || len(q.flows) != 0 || q.turns.Len() != 0 {
		t.Errorf("%d commands, %d flows and %d turns are left", q.len(), len(q.flows), q.turns.Len())
	}
}

// While small commands keep coming, they go first for as long as the last large batch took, and no
// longer.
func TestGateSharesTime(t *testing.T) {
	g := newGate()
	g.enter(large)
	g.leave(large, nil, 4*time.Millisecond, true) // more large commands wait
	for i := range 4 {
		g.enter(small) // blocks forever if the large ones go first
		g.leave(small, nil, time.Millisecond, i < 3)
	}
	entered := make(chan struct{})
	go func() {
		g.enter(small)
		close(entered)
	}()
	g.enter(large) // blocks forever if the small ones go first again
	select {
	case <-entered:
		t.Error("two batches at once")
	default:
	}
	g.leave(large, nil, time.Millisecond, false)
	<-entered
	g.leave(small, nil, time.Millisecond, false)
}

// A batch goes at once when no other waits, whatever was before.
func TestGateIsIdle(t *testing.T) {
	g := newGate()
	for _, kind := range []int{large, large, small, small, large} {
		g.enter(kind) // blocks forever if it waits
		g.leave(kind, nil, time.Second, false)
	}
}

// Callers that give up do not make large commands wait for them.
func TestSendOutlivesCallers(t *testing.T) {
	var b *batcher
	var gone []*proposal
	b = newBatcher(func() bool { return true }, atOnce, func([]*proposal) { gone = pushAll(b.queues[small], "a", 1, 10) })
	b.gate.credit = time.Hour
	pushAll(b.queues[small], "a", 1, 10)
	again := b.send(t.Context(), small)
	b.queues[small].remove(gone[0])
	if !again || b.send(t.Context(), small) {
		t.Fatal("want to be called once more, because a command waits, and then no more")
	}
	b.gate.enter(large) // blocks forever if small commands seem to wait
}

// A node that has lost its leadership does not make small commands wait for large ones, which no
// longer go through its gate, nor the other way round.
func TestSendAfterLeadership(t *testing.T) {
	for kind, cost := range []int{small: 10, large: 2 * largeCommand} {
		leads := true
		var b *batcher
		b = newBatcher(func() bool { return leads }, atOnce, func([]*proposal) {
			if leads {
				pushAll(b.queues[kind], "a", 1, cost)
			}
		})
		pushAll(b.queues[kind], "a", 1, cost)
		if !b.send(t.Context(), kind) {
			t.Fatal("want to be called again, because a command waits")
		}
		b.gate.credit = time.Duration(large-kind)*2*time.Hour - time.Hour // it is the turn of this kind
		leads = false
		entered := make(chan struct{})
		go func() {
			b.gate.enter(1 - kind) // began while it led
			close(entered)
		}()
		b.send(t.Context(), kind)
		<-entered // blocks forever if the commands that were sent elsewhere seem to wait
	}
}

// Patient commands travel with the next urgent one. Without one, they still travel.
func TestPatientCommands(t *testing.T) {
	q := newQueue()
	patient := func() { q.push(&proposal{cost: 10, flow: "p", patient: true}) }
	patient()
	if _, enough := q.want(1); enough {
		t.Error("a patient command does not wait")
	}
	pushAll(q, "a", 1, 10)
	if _, enough := q.want(1); !enough || len(q.take(maxBatchBytes)) != 2 {
		t.Error("want a batch of two, at once")
	}
	for range 3 { // alone: after a while
		patient()
		if !q.await(t.Context()) || len(q.take(maxBatchBytes)) != 1 {
			t.Fatal("it is never sent")
		}
	}
	for range maxBatchCommands {
		patient()
	}
	if _, enough := q.want(1); !enough {
		t.Error("enough patient commands for a batch wait")
	}
}

// Whoever gathers is woken when enough have come, and not before.
func TestGatherBySignal(t *testing.T) {
	q := newQueue()
	woken := func() bool {
		select {
		case <-q.filled:
			return true
		default:
			return false
		}
	}
	q.want(3)
	pushAll(q, "a", 2, 10)
	if woken() {
		t.Error("woken by 2 of 3 commands")
	}
	q.push(&proposal{cost: 10, patient: true})
	if woken() {
		t.Error("woken by a patient command")
	}
	pushAll(q, "b", 1, 10)
	if !woken() {
		t.Error("not woken by the third")
	}
	q.want(100)
	pushAll(q, "c", 3, maxBatchBytes/3)
	if !woken() {
		t.Error("not woken by a batch that is full by bytes")
	}
}

// After a large batch the next one waits for the commands that its callers make next, and takes
// what there is if they make none.
func TestBatcherGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *batcher
		var batches []int
		b = newBatcher(func() bool { return true }, atOnce, func(batch []*proposal) {
			batches = append(batches, len(batch))
			if len(batches) == 1 {
				go pushAll(b.queues[small], "a", len(batch), 10)
			}
		})
		pushAll(b.queues[small], "a", 50, 10)
		for b.send(t.Context(), small) {
		}
		sum := 0
		for _, n := range batches {
			sum += n
		}
		if sum != 100 {
			t.Errorf("batches of %v, want 100 commands", batches)
		}
		b.gate.enter(large) // blocks forever if small commands seem to wait
	})
}

// On a quiet node nothing waits.
func TestBatcherIsQuiet(t *testing.T) {
	b := newBatcher(func() bool { return true }, atOnce, func([]*proposal) {})
	for count := range fewCommands + 1 {
		pushAll(b.queues[small], "a", count, 10)
		if b.send(t.Context(), small) {
			t.Errorf("after %d commands it waits for more", count)
		}
	}
}

// Large commands have a rate, and smaller batches, but only while there are small ones that
// somebody waits for.
func TestLargeCommandsHaveRate(t *testing.T) {
	batch := []*proposal{{command: Command{Body: make([]byte, 4<<20)}}}
	commit := func(g *gate, kind int, batch []*proposal) {
		g.enter(kind)
		g.leave(kind, batch, time.Millisecond, false)
	}
	for name, test := range map[string]struct {
		before []*proposal // large ones
		small  []*proposal
		paused bool
	}{
		"alone":               {batch, nil, false},
		"beside outcomes":     {batch, []*proposal{{patient: true}}, false},
		"beside small events": {batch, []*proposal{{}}, true},
		"after small events":  {nil, []*proposal{{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			if test.before != nil {
				commit(g, large, test.before)
			}
			commit(g, small, test.small)
			commit(g, large, batch)
			now := time.Now()
			if !g.small.IsZero() {
				now = g.small
			}
			if pause, limit := g.pauseAt(now); test.paused != (pause > 0) || test.paused != (limit == maxLargeBatch) {
				t.Errorf("large commands pause for %v, and then %d bytes of them go on", pause, limit)
			}
			commit(g, large, []*proposal{{command: Command{Body: make([]byte, ratedCommand)}}})
			if pause, _ := g.pauseAt(g.large); pause > 0 {
				t.Errorf("after commands of a usual size, they pause for %v", pause)
			}
			if pause, limit := g.pauseAt(now.Add(2 * smallMemory)); pause > 0 || limit != maxBatchBytes {
				t.Errorf("without small commands they pause for %v, and then %d bytes of them go on", pause, limit)
			}
		})
	}
}
