package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const testDir = "journal"

var testOptions = Options{
	SegmentSize: func() int64 { return 8 * pageSize },
	Budget:      func() int64 { return 6 * 8 * pageSize },
}

// model is what a journal must hold.
type model map[uint64][]byte

func (m model) bounds() (first, last uint64) {
	if len(m) == 0 {
		return 0, 0
	}
	keys := slices.Sorted(maps.Keys(m))
	return keys[0], keys[len(keys)-1]
}

// step is one call of a journal, and what it does to a model.
type step struct {
	name  string
	do    func(*Journal) error
	model func(model)
}

func appendStep(entries ...Entry) step {
	return step{fmt.Sprintf("append %d from %d", len(entries), entries[0].Index),
		func(j *Journal) error { return j.Append(entries) },
		func(m model) {
			for _, e := range entries {
				m[e.Index] = bytes.Join(e.Parts, nil)
			}
		}}
}

func dropBeforeStep(index uint64) step {
	return step{fmt.Sprint("drop before ", index), func(j *Journal) error { return j.DropBefore(index) },
		func(m model) { maps.DeleteFunc(m, func(i uint64, _ []byte) bool { return i < index }) }}
}

func dropFromStep(index uint64) step {
	return step{fmt.Sprint("drop from ", index), func(j *Journal) error { return j.DropFrom(index) },
		func(m model) { maps.DeleteFunc(m, func(i uint64, _ []byte) bool { return i >= index }) }}
}

func noteStep() step { return step{"note", (*Journal).Note, func(model) {}} }
func renewStep() step {
	return step{"renew", func(j *Journal) error {
		if err := second(j.Renew()); err != nil {
			return err
		}
		err := j.NoteRenewal()
		if errors.Is(err, syscall.ENOSPC) { // the journal goes on
			return nil
		}
		return err
	}, func(model) {}}
}

func second(_ uint64, _ bool, err error) error { return err }
func markStep() step                           { return step{"mark", (*Journal).Mark, func(model) {}} }

// run does the steps until one fails, and returns the models before and after that one. Without a
// failure both are the last one.
func run(j *Journal, m model, steps []step) (before, after model, done int, err error) {
	for i, s := range steps {
		before, after = m, maps.Clone(m)
		s.model(after)
		err := s.do(j)
		await(j) // so that the calls come in about the same order each time
		if err != nil {
			return before, after, i, fmt.Errorf("%s: %w", s.name, err)
		}
		m = after
	}
	return m, m, len(steps), nil
}

// await waits until no segment is being prepared.
func await(j *Journal) {
	if j.next != nil {
		<-j.next.done
	}
}

// differs says how a journal differs from a model; empty: it does not.
func differs(j *Journal, m model) string {
	first, last := j.Bounds()
	wantFirst, wantLast := m.bounds()
	if first != wantFirst || last != wantLast {
		return fmt.Sprintf("it has entries %d to %d, not %d to %d", first, last, wantFirst, wantLast)
	}
	for i := first; i <= last && last > 0; i++ {
		content, found, err := j.Read(i)
		if want, ok := m[i]; err != nil || found != ok || !bytes.Equal(content, want) {
			return fmt.Sprintf("entry %d: %d bytes, %v, %v; want %d bytes, %v", i, len(content), found, err, len(want), ok)
		}
	}
	return ""
}

// reopen opens a journal after a crash, and returns which of two models it holds.
func reopen(t *testing.T, d *testDisk, before, after model) (*Journal, model) {
	t.Helper()
	j, err := open(testDir, testOptions, d)
	if err != nil {
		t.Fatalf("opening it again: %v", err)
	}
	await(j)
	for _, m := range []model{before, after} {
		if differs(j, m) == "" {
			return j, m
		}
	}
	t.Fatalf("before the last step: %s; after it: %s", differs(j, before), differs(j, after))
	return nil, nil
}

// content returns bytes that differ for each index and version.
func content(index uint64, version byte, size int) []byte {
	b := bytes.Repeat([]byte{byte(index), version, byte(index >> 8), 7}, size/4+1)
	return b[:size]
}

func entryOf(index uint64, version byte, size int) Entry {
	c := content(index, version, size)
	return Entry{index, [][]byte{c[:size/3], nil, c[size/3:]}}
}

// script makes a journal do everything that it can: fill and reuse files, remove entries at both
// ends, write a batch larger than a file, and start again after all entries are gone.
func script() (steps []step) {
	next := uint64(1)
	add := func(version byte, sizes ...int) {
		var entries []Entry
		for _, size := range sizes {
			entries = append(entries, entryOf(next, version, size))
			next++
		}
		steps = append(steps, appendStep(entries...))
	}
	for range 6 {
		add(1, 10, 3000, 5000)
	}
	steps = append(steps, noteStep(), dropFromStep(15))
	next = 15
	add(2, 10, 3000, 5000) // of the same size as what was removed
	steps = append(steps, markStep(), dropBeforeStep(10))
	add(2, 60000)
	add(2, 0)
	steps = append(steps, dropBeforeStep(next-1))
	for range 8 {
		add(3, 6000)
	}
	steps = append(steps, dropBeforeStep(next-2), renewStep())
	for range 8 {
		add(4, 6000)
	}
	steps = append(steps, renewStep(), dropBeforeStep(next-1), renewStep(), noteStep())
	steps = append(steps, dropFromStep(1))
	next = 1000
	add(5, 10)
	return append(steps, dropBeforeStep(2000))
}

// TestCrashAtEveryCall ends the process at each call of the file system, with and without a loss of
// power, and then goes on.
func TestCrashAtEveryCall(t *testing.T) {
	steps := script()
	for _, power := range []bool{false, true} {
		for call, calls := 1, 1; call <= calls; call++ {
			d := newTestDisk(uint64(call))
			d.fault = func(n int, _ string) error {
				if n == call {
					return errCrash
				}
				return nil
			}
			before, after, done := model{}, model{}, 0
			j, err := open(testDir, testOptions, d)
			if err == nil {
				before, after, done, err = run(j, model{}, steps)
			}
			if err == nil { // the crash comes in the background, or never
				calls = max(calls, d.calls)
				err = j.Close()
			}
			if err != nil {
				calls = max(calls, call+1)
			}
			if err != nil && !errors.Is(err, errCrash) {
				t.Fatalf("call %d: %v", call, err)
			}
			d.restart(power)
			j, m := reopen(t, d, before, after)
			if _, _, _, err := run(j, m, rest(steps, done)); err != nil {
				t.Fatalf("call %d, after it: %v", call, err)
			}
		}
	}
}

// rest returns the steps to go on with after one that was interrupted: again if it removes
// something, since what follows relies on that.
func rest(steps []step, done int) []step {
	if done < len(steps) && !strings.HasPrefix(steps[done].name, "drop") {
		done++
	}
	return append(slices.Clone(steps[done:]), dropFromStep(1), appendStep(entryOf(1, 9, 100)), markStep())
}

// TestErrorAtEveryCall lets each call fail once, for want of space or because the disk is broken.
// After that the journal writes nothing, and keeps all that it had when it is opened again.
func TestErrorAtEveryCall(t *testing.T) {
	steps := script()
	for _, reason := range []error{syscall.ENOSPC, syscall.EIO} {
		for call, calls := 1, 1; call <= calls; call++ {
			d, failed := newTestDisk(uint64(call)), ""
			d.fault = func(n int, what string) error {
				if n != call || reason == syscall.ENOSPC && what == "read" {
					return nil
				}
				failed = what
				return reason
			}
			before, after := model{}, model{}
			j, err := open(testDir, testOptions, d)
			if err == nil {
				before, after, _, err = run(j, model{}, steps)
				calls = max(calls, d.calls)
			}
			if err != nil {
				calls = max(calls, call+1)
				if !errors.Is(err, reason) {
					t.Fatalf("call %d (%s): %v", call, failed, err)
				}
			}
			if j != nil && err != nil {
				d.fault = nil
				for _, s := range []step{noteStep(), appendStep(entryOf(1<<40, 1, 1)), dropBeforeStep(1), dropFromStep(1 << 50), markStep()} {
					if err := s.do(j); !errors.Is(err, reason) {
						t.Fatalf("call %d (%s) failed, then %s: %v", call, failed, s.name, err)
					}
				}
			}
			d.restart(false)
			j, m := reopen(t, d, before, after)
			d.restart(true) // nothing that was read is lost any more
			await(j)
			reopen(t, d, m, m)
		}
	}
}

// TestRandomly does random things, with random crashes, also during the recovery from another.
func TestRandomly(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2))
			d := newTestDisk(seed)
			before, after, version := model{}, model{}, byte(0)
			for range 12 {
				version++
				j, m := reopenRandomly(t, random, d, before, after)
				last := d.calls + random.IntN(120)
				d.setFault(func(n int, what string) error {
					switch {
					case n < last:
						return nil
					case what == "sync" && seed%2 == 0:
						return syscall.EIO
					}
					return errCrash
				})
				var err error
				for err == nil {
					before, after, _, err = run(j, m, []step{randomStep(random, m, version)})
					m = after
				}
				d.restart(random.IntN(2) == 0)
			}
		})
	}
}

// reopenRandomly opens a journal and is interrupted at it several times.
func reopenRandomly(t *testing.T, random *rand.Rand, d *testDisk, before, after model) (*Journal, model) {
	t.Helper()
	for range random.IntN(4) {
		last := d.calls + random.IntN(60)
		d.fault = func(n int, _ string) error {
			if n < last {
				return nil
			}
			return errCrash
		}
		j, err := open(testDir, testOptions, d)
		if err == nil {
			await(j)
			d.setFault(nil)
			if !d.crashed && differs(j, before) != "" { // it says that it holds the step, so it must not lose it
				if text := differs(j, after); text != "" {
					t.Fatal(text)
				}
				before = after
			}
		} else if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		d.restart(random.IntN(2) == 0)
	}
	d.fault = nil
	return reopen(t, d, before, after)
}

func randomStep(random *rand.Rand, m model, version byte) step {
	first, last := m.bounds()
	switch random.IntN(11) {
	case 0:
		return dropFromStep(last + 1 - min(last, random.Uint64N(4)))
	case 1, 2:
		return dropBeforeStep(first + random.Uint64N(last-first+2))
	case 3:
		return markStep()
	case 4:
		return noteStep()
	case 5:
		return renewStep()
	}
	var entries []Entry
	for range 1 + random.IntN(4) {
		last++
		if random.IntN(20) == 0 {
			last += 10 // a gap
		}
		entries = append(entries, entryOf(last, version, random.IntN([]int{10, 5000, 40000}[random.IntN(3)])))
	}
	return appendStep(entries...)
}
