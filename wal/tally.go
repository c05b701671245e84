package wal

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"time"

	"hookwheel/webhook"
)

// Tally counts attempts by outcome, by class of status code and by latency. Most counters of most
// tallies are zero, so it holds the others only, in order.
type Tally struct{ cells []cell }

// cell is one counter and its value, which is not zero.
type cell struct {
	counter uint16
	n       uint64
}

// The numbers of the counters. They are in records, so they never change.
const (
	tallySucceeded = 0
	tallyFailed    = 1
	tallyCanceled  = 2
	tallyClass     = 3                         // and the first digit of the status code; 0: no response
	tallyDuration  = 16                        // and the number of a latency: how long attempts took
	tallyDelivery  = tallyDuration + latencies // likewise: from accepted to delivered
	tallyCounters  = tallyDelivery + latencies // how many there are
)

const (
	tallyVersion = 1
	lastClass    = 5 // of status codes
)

// Latencies from 8 ms on are told apart by their highest bit and the two bits after it.
const (
	exactLatencies = 8
	firstOctave    = 3 // the highest bit of 8
	lastOctave     = 41
	perOctave      = 4
	partBits       = 2 // 1<<partBits is perOctave
	latencies      = exactLatencies + (lastOctave-firstOctave+1)*perOctave
)

// latencyOf returns the number of a latency.
func latencyOf(d time.Duration) uint16 {
	ms := uint64(max(d.Milliseconds(), 0))
	if ms < exactLatencies {
		return uint16(ms)
	}
	octave := bits.Len64(ms) - 1
	if octave > lastOctave {
		return latencies - 1
	}
	part := ms>>(octave-partBits) - perOctave
	return uint16(exactLatencies + (octave-firstOctave)*perOctave + int(part))
}

// shortest returns the shortest latency with this number, in milliseconds.
func shortest(latency uint16) float64 {
	if latency < exactLatencies {
		return float64(latency)
	}
	octave, part := (latency-exactLatencies)/perOctave+firstOctave, (latency-exactLatencies)%perOctave
	return float64(uint64(perOctave+part) << (octave - partBits))
}

// attempt counts an attempt. Messages that were sent again on request say nothing about how long
// deliveries take.
func (t *Tally) attempt(o *webhook.Outcome) {
	a := &o.Attempt
	switch a.Status {
	case webhook.StatusCanceled:
		t.add(tallyCanceled, 1)
		return
	case webhook.StatusSuccess:
		t.add(tallySucceeded, 1)
	default:
		t.add(tallyFailed, 1)
	}
	t.add(tallyClass+min(a.StatusCode/100, lastClass), 1)
	t.add(tallyDuration+latencyOf(a.Duration), 1)
	if a.Status == webhook.StatusSuccess && a.Trigger == webhook.TriggerScheduled {
		since := a.Message.Time()
		if o.Scheduled.After(since) {
			since = o.Scheduled
		}
		t.add(tallyDelivery+latencyOf(a.Start.Add(a.Duration).Sub(since)), 1)
	}
}

func (t *Tally) add(counter uint16, n uint64) {
	i := len(t.cells)
	for i > 0 && t.cells[i-1].counter >= counter {
		i--
	}
	if i < len(t.cells) && t.cells[i].counter == counter {
		t.cells[i].n += n
		return
	}
	t.cells = append(t.cells, cell{})
	copy(t.cells[i+1:], t.cells[i:])
	t.cells[i] = cell{counter, n}
}

// Add adds another tally to t.
func (t *Tally) Add(other *Tally) {
	missing, i := 0, 0
	for _, c := range other.cells {
		for i < len(t.cells) && t.cells[i].counter < c.counter {
			i++
		}
		if i < len(t.cells) && t.cells[i].counter == c.counter {
			t.cells[i].n += c.n
		} else {
			missing++
		}
	}
	if missing > 0 {
		t.insert(other, missing)
	}
}

// insert takes over the counters of another tally that t lacks, which are so many, from the last to
// the first.
func (t *Tally) insert(other *Tally, missing int) {
	i, j := len(t.cells)-1, len(other.cells)-1
	t.cells = slices.Grow(t.cells, missing)[:len(t.cells)+missing]
	for ; missing > 0; j-- {
		c := other.cells[j]
		for ; i >= 0 && t.cells[i].counter > c.counter; i-- {
			t.cells[i+missing] = t.cells[i]
		}
		if i < 0 || t.cells[i].counter != c.counter {
			missing--
			t.cells[i+1+missing] = c
		}
	}
}

func (t *Tally) empty() bool { return len(t.cells) == 0 }

func (t *Tally) count(counter uint16) uint64 {
	for _, c := range t.cells {
		if c.counter == counter {
			return c.n
		}
	}
	return 0
}

// Succeeded returns the number of attempts that succeeded.
func (t *Tally) Succeeded() uint64 { return t.count(tallySucceeded) }

// Failed returns the number of attempts that failed.
func (t *Tally) Failed() uint64 { return t.count(tallyFailed) }

// Canceled returns the number of attempts that were canceled before anything was sent.
func (t *Tally) Canceled() uint64 { return t.count(tallyCanceled) }

// Class returns the number of attempts whose response had a status code of this class: 1 to 5 for
// 100 to 599, or 0 if there was no response.
func (t *Tally) Class(class int) uint64 { return t.count(tallyClass + uint16(class)) }

// Latency holds percentiles of a latency.
type Latency struct {
	Count         uint64 // of what was measured; 0: there are no percentiles
	P50, P95, P99 time.Duration
}

// Duration returns how long attempts took, except canceled ones.
func (t *Tally) Duration() Latency { return t.latency(tallyDuration) }

// Delivery returns how long it took from the time at which a message was accepted, or for which it
// was scheduled, until the response that meant success. Replays are not included.
func (t *Tally) Delivery() Latency { return t.latency(tallyDelivery) }

func (t *Tally) latency(first uint16) (l Latency) {
	for _, c := range t.cells {
		if c.counter >= first && c.counter < first+latencies {
			l.Count += c.n
		}
	}
	if l.Count > 0 {
		l.P50, l.P95, l.P99 = t.percentile(first, l.Count, 50), t.percentile(first, l.Count, 95), t.percentile(first, l.Count, 99)
	}
	return l
}

// percentile assumes that latencies with the same number are spread evenly.
func (t *Tally) percentile(first uint16, total uint64, percent float64) time.Duration {
	rank := math.Ceil(float64(total) * percent / 100)
	below := 0.0
	for _, c := range t.cells {
		if c.counter < first || c.counter >= first+latencies {
			continue
		}
		if n := float64(c.n); below+n < rank {
			below += n
			continue
		}
		from, to := shortest(c.counter-first), shortest(c.counter-first+1)
		ms := math.Floor(from + (to-from)*(rank-below-0.5)/float64(c.n))
		return time.Duration(ms) * time.Millisecond
	}
	return 0
}

// appendTally writes for each counter that is not zero: its distance from the one before | value.
// The distance of the first is its number and 1.
func appendTally(dst []byte, t *Tally) []byte {
	before := -1
	for _, c := range t.cells {
		dst = binary.AppendUvarint(dst, uint64(int(c.counter)-before))
		dst = binary.AppendUvarint(dst, c.n)
		before = int(c.counter)
	}
	return dst
}

// readTally is the reverse, up to the end of the record. It uses the memory of cells, if that is
// enough.
func readTally(r *reader, cells []cell) (t Tally) {
	t.cells = slices.Grow(cells[:0], len(r.rest)/2)
	for before := -1; r.more(); {
		distance := r.number(tallyCounters)
		counter, n := before+int(distance), r.uvarint()
		if r.err == nil && (distance == 0 || counter >= tallyCounters || n == 0) {
			r.fail()
		}
		if r.err != nil {
			return Tally{}
		}
		t.cells = append(t.cells, cell{uint16(counter), n})
		before = counter
	}
	return t
}

func encodeTally(t *Tally) []byte { return appendTally([]byte{tallyVersion}, t) }

func decodeTally(value []byte) (Tally, error) {
	r := newReader(value, tallyVersion)
	t := readTally(r, nil)
	if r.err == nil && t.empty() {
		r.fail()
	}
	return t, r.err
}

// recent counts the attempts of the present five minutes, or of the last five minutes with
// attempts.
type recent struct {
	start uint64 // number of these five minutes since the Unix epoch
	data  []byte // as appendTally writes it, which takes less memory than a Tally
}

func (r *recent) tally(cells []cell) (Tally, error) {
	in := reader{rest: r.data}
	t := readTally(&in, cells)
	return t, in.err
}

// appendRecent: start | bytes of the tally | tally
func appendRecent(dst []byte, r *recent) []byte {
	return appendBytes(binary.AppendUvarint(dst, r.start), r.data)
}

func readRecent(r *reader) (c recent) {
	c.start = r.number(endOfTime / uint64(periods[FiveMinutes].length))
	if data := r.bytes(); len(data) > 0 {
		c.data = append([]byte(nil), data...)
	}
	return c
}
