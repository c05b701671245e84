package scheduler

import (
	"runtime"
	"testing"
)

const wheelBenchTimers = 1_000_000

func reportPerWheelTimer(b *testing.B, rounds int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*wheelBenchTimers), "ns/timer")
}

// BenchmarkWheelAdd fills a wheel with a million timers in each round.
func BenchmarkWheelAdd(b *testing.B) {
	timers, at := wheelMillion(wheelBenchTimers)
	rounds := 0
	for ; b.Loop(); rounds++ {
		b.StopTimer()
		w := newWheel[int](wheelStart)
		clear(timers)
		b.StartTimer()
		for i := range timers {
			w.add(&timers[i], at[i])
		}
	}
	reportPerWheelTimer(b, rounds)
}

// BenchmarkWheelCancel empties a wheel of a million timers in each round.
func BenchmarkWheelCancel(b *testing.B) {
	timers, at := wheelMillion(wheelBenchTimers)
	rounds := 0
	for ; b.Loop(); rounds++ {
		b.StopTimer()
		w := newWheel[int](wheelStart)
		for i := range timers {
			w.add(&timers[i], at[i])
		}
		b.StartTimer()
		for i := range timers {
			w.cancel(&timers[i])
		}
	}
	reportPerWheelTimer(b, rounds)
}

// BenchmarkWheelMillion is the life of a million timers over 30 days in each round: all are set,
// half are cancelled, the rest fire as the clock follows next. Memory is what the heap grows by for
// the timers, each with a pointer for a value; time is without their allocation.
func BenchmarkWheelMillion(b *testing.B) {
	timers := make([]*timer[*int], wheelBenchTimers)
	b.Run("slice", func(b *testing.B) {
		benchmarkWheelMillion(b, timers, func() {
			array := make([]timer[*int], len(timers))
			for i := range timers {
				timers[i] = &array[i]
			}
		})
	})
	b.Run("single", func(b *testing.B) {
		benchmarkWheelMillion(b, timers, func() {
			for i := range timers {
				timers[i] = new(timer[*int])
			}
		})
	})
}

func benchmarkWheelMillion(b *testing.B, timers []*timer[*int], allocate func()) {
	clear(timers)
	before := wheelHeap()
	allocate()
	bytes := float64(wheelHeap()-before) / float64(len(timers))
	_, at := wheelMillion(len(timers))

	fired, rounds := 0, 0
	for ; b.Loop(); rounds++ {
		w := newWheel[*int](wheelStart)
		for i, t := range timers {
			w.add(t, at[i])
		}
		for i := 0; i < len(timers); i += 2 {
			w.cancel(timers[i])
		}
		for now, ok := w.next(); ok; now, ok = w.next() {
			w.advance(now, func(*timer[*int]) { fired++ })
		}
	}
	if fired != rounds*len(timers)/2 {
		b.Fatalf("%d timers fired in %d rounds", fired, rounds)
	}
	reportPerWheelTimer(b, rounds)
	b.ReportMetric(bytes, "bytes/timer")
}

// wheelHeap returns the bytes of all live objects on the heap.
func wheelHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
