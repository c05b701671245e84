package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// seeded is a source of randomness whose seed is in the log of a failing test.
func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func proposalOf(size int) *proposal {
	return &proposal{command: Command{Body: make([]byte, size)}, cost: size, done: make(chan struct{})}
}

func TestTake(t *testing.T) {
	const fits = maxBatchBytes / maxBatchCommands // with the overhead of each, fewer than maxBatchCommands of these
	tests := map[string]struct {
		sizes []int
		taken int
	}{
		"none":                {nil, 0},
		"alone":               {[]int{10}, 1},
		"all that wait":       {[]int{10, 10, 10, 10}, 4},
		"to the number":       {make([]int, maxBatchCommands+6), maxBatchCommands},
		"to the last byte":    {[]int{maxBatchBytes - 100 - 2*commandOverhead, 100}, 2},
		"a byte too many":     {[]int{maxBatchBytes - 100 - 2*commandOverhead, 101, 1}, 1},
		"oversized, alone":    {[]int{maxBatchBytes + 1, 1, 1}, 1},
		"oversized later":     {[]int{10, 10, maxBatchBytes, 1}, 2},
		"oversized, no other": {[]int{10 * maxBatchBytes}, 1},
		"full by bytes":       {repeated(fits, maxBatchCommands), 124},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			var all []*proposal
			for _, size := range test.sizes {
				all = append(all, proposalOf(size))
				q.push(all[len(all)-1])
			}
			batch := q.take(maxBatchBytes)
			if len(batch) != test.taken || q.len() != len(all)-test.taken {
				t.Fatalf("took %d, %d wait; want %d of %d", len(batch), q.len(), test.taken, len(all))
			}
			if !slices.Equal(batch, all[:test.taken]) {
				t.Error("the batch is not what came first")
			}
		})
	}
}

func repeated(size, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = size
	}
	return list
}

// Whatever comes, batches keep the order of each flow and the bounds, and nothing is lost.
func TestBatcherKeepsBounds(t *testing.T) {
	random := seeded(t)
	type sequence struct {
		flow  string
		large bool
	}
	want, got := make(map[sequence][]*proposal), make(map[sequence][]*proposal)
	commits := make(chan []*proposal)
	b := newBatcher(func() bool { return true }, atOnce, func(batch []*proposal) { commits <- batch })
	left := 500
	for range left {
		size := random.IntN(4000)
		if random.IntN(50) == 0 {
			size = largeCommand + random.IntN(maxBatchBytes)
		}
		p := proposalOf(size)
		p.flow = string(rune('a' + random.IntN(3)))
		s := sequence{p.flow, size > largeCommand}
		want[s] = append(want[s], p)
		b.queue(p).push(p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { b.run(ctx); close(ended) }()
	for left > 0 {
		batch := <-commits
		checkBounds(t, batch)
		left -= len(batch)
		for _, p := range batch {
			s := sequence{p.flow, p.cost > largeCommand}
			got[s] = append(got[s], p)
		}
	}
	cancel()
	<-ended
	if !reflect.DeepEqual(got, want) {
		t.Error("not all proposals came in the order of their flow")
	}
}

func checkBounds(t *testing.T, batch []*proposal) {
	t.Helper()
	size := 0
	for _, p := range batch {
		size += p.cost
	}
	if len(batch) == 0 || len(batch) > maxBatchCommands {
		t.Errorf("a batch of %d commands", len(batch))
	}
	if size > maxBatchBytes && len(batch) > 1 {
		t.Errorf("a batch of %d commands and %d bytes", len(batch), size)
	}
}

// What still waits when the batcher ends is told so.
func TestBatcherDrains(t *testing.T) {
	b := newBatcher(func() bool { return true }, atOnce, func(batch []*proposal) { finishAll(batch, errUnknown) })
	var waiting []*proposal
	for i := range 10 {
		waiting = append(waiting, proposalOf(i*largeCommand/4))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, p := range waiting {
		b.queue(p).push(p)
	}
	b.run(ctx)
	for i, p := range waiting {
		<-p.done
		if !errors.Is(p.err, errNotTaken) && !errors.Is(p.err, errUnknown) {
			t.Errorf("proposal %d ended with %v", i, p.err)
		}
	}
}

func randomBatch(random *rand.Rand) []*proposal {
	batch := make([]*proposal, random.IntN(5))
	for i := range batch {
		batch[i] = proposalOf(random.IntN(300))
		c := &batch[i].command
		binary.BigEndian.PutUint64(c.Request[random.IntN(9):], random.Uint64())
		c.Since = random.Uint64() >> random.IntN(65)
		for j := range c.Body {
			c.Body[j] = byte(random.Uint32())
		}
	}
	return batch
}

func TestEntryRoundTrip(t *testing.T) {
	random := seeded(t)
	for range 500 {
		batch, now := randomBatch(random), random.Int64()
		gotNow, commands, err := decodeEntry(encodeEntry(now, batch))
		if err != nil {
			t.Fatal(err)
		}
		if gotNow != now || len(commands) != len(batch) {
			t.Fatalf("clock %d and %d commands, want %d and %d", gotNow, len(commands), now, len(batch))
		}
		for i := range commands {
			if !reflect.DeepEqual(commands[i], batch[i].command) {
				t.Fatalf("got %+v, want %+v", commands[i], batch[i].command)
			}
		}
	}
}

// No part of an entry may pass for a whole one, nor a whole one with something behind it.
func TestEntryCut(t *testing.T) {
	random := seeded(t)
	batch := append(randomBatch(random), proposalOf(0), proposalOf(200))
	batch[len(batch)-1].command.Since = 1 << 40
	whole := encodeEntry(1, batch)
	for size := range len(whole) {
		if _, _, err := decodeEntry(whole[:size]); !errors.Is(err, errDamaged) {
			t.Errorf("%d of %d bytes: %v", size, len(whole), err)
		}
	}
	if _, _, err := decodeEntry(append(whole, 0)); !errors.Is(err, errDamaged) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestEntryDamaged(t *testing.T) {
	head := append([]byte{entryVersion}, make([]byte, 8)...)
	endless := bytes.Repeat([]byte{0xff}, 11) // no uvarint
	request := make([]byte, 16)
	tests := map[string][]byte{
		"empty":               nil,
		"newer version":       append([]byte{entryVersion + 1}, make([]byte, 9)...),
		"endless number":      bytes.Join([][]byte{head, endless}, nil),
		"too many commands":   bytes.Join([][]byte{head, {9}, request, {0, 0}}, nil),
		"endless since":       bytes.Join([][]byte{head, {1}, request, endless}, nil),
		"endless body length": bytes.Join([][]byte{head, {1}, request, {0}, endless}, nil),
		"body too long":       bytes.Join([][]byte{head, {1}, request, {0, 5, 1, 2}}, nil),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			if _, commands, err := decodeEntry(data); !errors.Is(err, errDamaged) {
				t.Errorf("%d commands, %v", len(commands), err)
			}
		})
	}
}

func FuzzDecodeEntryBounds(f *testing.F) {
	f.Add(encodeEntry(1, nil))
	f.Add(encodeEntry(1<<40, []*proposal{proposalOf(0), proposalOf(200)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		now, commands, err := decodeEntry(data)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Errorf("not the error for damage: %v", err)
			}
			if cap(commands) > len(data) {
				t.Errorf("room for %d commands from %d bytes", cap(commands), len(data))
			}
			return
		}
		checkSameAgain(t, now, commands, len(data))
	})
}

// checkSameAgain wants commands to survive another round trip, in no more bytes: numbers may have
// come in a long form.
func checkSameAgain(t *testing.T, now int64, commands []Command, size int) {
	t.Helper()
	batch := make([]*proposal, len(commands))
	for i := range commands {
		batch[i] = &proposal{command: commands[i]}
	}
	again := encodeEntry(now, batch)
	if len(again) > size {
		t.Errorf("%d bytes became %d", size, len(again))
	}
	now2, commands2, err := decodeEntry(again)
	if err != nil || now2 != now || fmt.Sprint(commands2) != fmt.Sprint(commands) {
		t.Errorf("%d %v became %d %v, %v", now, commands, now2, commands2, err)
	}
}

func TestOutcomeRoundTrip(t *testing.T) {
	tests := map[string]struct{ o, want outcome }{
		"reply":       {outcome{reply: []byte("reply")}, outcome{reply: []byte("reply")}},
		"delay":       {outcome{reply: []byte("reply"), delay: 3 * time.Millisecond}, outcome{reply: []byte("reply"), delay: 3 * time.Millisecond}},
		"long delay":  {outcome{delay: time.Hour}, outcome{delay: maxDelay}},
		"empty reply": {outcome{reply: []byte{}}, outcome{}},
		"not taken":   {outcome{err: fmt.Errorf("why: %w", errNotTaken)}, outcome{err: errNotTaken}},
		"unknown":     {outcome{err: errUnknown}, outcome{err: errUnknown}},
		"other":       {outcome{err: ErrNoLeader}, outcome{err: errUnknown}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response := appendOutcome(nil, &test.o)
			o, rest, err := cutOutcome(append(response, "rest"...))
			if err != nil || o.err != test.want.err || o.delay != test.want.delay || !bytes.Equal(o.reply, test.want.reply) || string(rest) != "rest" {
				t.Errorf("got %+v, %q, %v", o, rest, err)
			}
			for size := range len(response) {
				if _, _, err := cutOutcome(response[:size]); err == nil {
					t.Errorf("%d of %d bytes are accepted", size, len(response))
				}
			}
		})
	}
}

// A response that is cut leaves those without one in doubt, not successful.
func TestFinishForwardedCut(t *testing.T) {
	batch := []*proposal{proposalOf(0), proposalOf(0), proposalOf(0)}
	response := appendOutcome(nil, &outcome{reply: []byte("first")})
	finishForwarded(batch, append(response, outcomeOK, 0, 9))
	want := []error{nil, errUnknown, errUnknown}
	for i, p := range batch {
		<-p.done
		if p.err != want[i] {
			t.Errorf("%d: %v, want %v", i, p.err, want[i])
		}
	}
	if string(batch[0].reply) != "first" {
		t.Errorf("reply %q", batch[0].reply)
	}
}

// A batch is bounded by what its commands change, not only by their own size.
func TestBatchCountsCost(t *testing.T) {
	q := newQueue()
	for range 5 {
		p := proposalOf(10)
		p.cost += 100 << 10
		q.push(p)
	}
	if batch := q.take(maxBatchBytes); len(batch) != 2 || q.len() != 3 {
		t.Errorf("took %d, %d wait; want 2 of 100 KiB each, and 3", len(batch), q.len())
	}
}
