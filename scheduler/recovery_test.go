package scheduler

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// outage is an endpoint that fails for a while.
type outage struct {
	*leadership
	mu       sync.Mutex
	b        *shelf
	down     bool
	wrong    time.Duration // by how much the clock is ahead
	attempts []time.Time
	arrived  []webhook.ID // in this order
	times    []time.Time
}

func startOutage(t *testing.T, ordering webhook.Ordering) (*outage, *webhook.Endpoint) {
	b, e := newShelf(), testEndpoint(0)
	e.Ordering = ordering
	o := &outage{b: b, down: true}
	config := Config{Workers: 16, PerEndpoint: 8, Timeout: 15 * time.Second, Retry: webhook.DefaultRetryPolicy(), Breaker: DefaultBreakerPolicy(),
		Clock: func() time.Time {
			o.mu.Lock()
			defer o.mu.Unlock()
			return time.Now().Add(o.wrong)
		}}
	s := New(b, 2, config, slog.New(slog.DiscardHandler))
	o.leadership = leadWith(t, b, s, []*webhook.Endpoint{e}, config.Workers, func(d webhook.Delivery) bool {
		time.Sleep(5 * time.Millisecond)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.attempts = append(o.attempts, time.Now())
		if !o.down {
			o.arrived, o.times = append(o.arrived, d.ID), append(o.times, time.Now())
		}
		return !o.down
	}, nil)
	return o, e
}

func (o *outage) post(index int) {
	m := testMessage(index, 10)
	m.OrderingKey = "k"
	o.b.add(m)
	offer(o.s, []*webhook.Message{m})
}

func (o *outage) set(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
}

// After an outage of any length the first delivery comes within one probe interval, whatever the
// order and however little the endpoint gets; the rest follows at once. No probe uses up an
// attempt.
func TestRecovery(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingKey, webhook.OrderingEndpoint} {
		for _, messages := range []int{1, 3, 200} {
			for _, length := range []time.Duration{45 * time.Second, 36 * time.Minute} {
				runInBubble(t, fmt.Sprintf("%v_%d_%v", ordering, messages, length), func(t *testing.T) {
					o, e := startOutage(t, ordering)
					for i := range messages {
						o.post(10 + i)
						time.Sleep(length / time.Duration(messages+1))
					}
					time.Sleep(length / time.Duration(messages+1))
					o.b.mu.Lock()
					for _, line := range o.b.retries[e.ID] {
						if line.Spent > 4 { // those at once, and after 5 s, 5 min and 30 min
							t.Errorf("%d attempts are used up of %d", line.Spent, line.Made)
						}
					}
					o.b.mu.Unlock()
					well := time.Now()
					o.set(false)
					time.Sleep(min(length, 5*time.Minute) + 6*time.Second)
					o.mu.Lock()
					if len(o.times) == 0 {
						t.Errorf("nothing came")
					}
					o.mu.Unlock()
					time.Sleep(45 * time.Second)
					o.mu.Lock()
					inversions := 0
					for i := 1; i < len(o.arrived); i++ {
						if o.arrived[i-1].After(o.arrived[i]) {
							inversions++
						}
					}
					if len(o.arrived) != messages || ordering != webhook.OrderingNone && inversions > 0 {
						t.Errorf("%d of %d came, %d before an older one", len(o.arrived), messages, inversions)
					}
					if len(o.times) > 0 {
						t.Logf("the first came after %v, the last after %v, %d of %d before an older one", o.times[0].Sub(well).Round(time.Millisecond), o.times[len(o.times)-1].Sub(well).Round(time.Millisecond), inversions, messages)
					}
					o.mu.Unlock()
					o.stop()
				})
			}
		}
	}
}

// When a user resumes or changes an endpoint, its oldest message is tried at once.
func TestChangeTriesAtOnce(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingKey, webhook.OrderingEndpoint} {
		for _, pause := range []bool{false, true} {
			runInBubble(t, fmt.Sprint(ordering, pause), func(t *testing.T) {
				o, e := startOutage(t, ordering)
				for i := range 3 {
					o.post(10 + i)
				}
				time.Sleep(20 * time.Minute)
				o.set(false)
				changed := *e
				if changed.Paused = pause; pause {
					add(o.s, &changed)
					time.Sleep(time.Second)
					again := *e
					changed = again
				}
				changed.Description = "changed"
				add(o.s, &changed)
				time.Sleep(time.Second)
				o.mu.Lock()
				if len(o.arrived) != 3 {
					t.Errorf("%d came", len(o.arrived))
				}
				o.mu.Unlock()
				o.stop()
			})
		}
	}
}

// A clock that is ahead for a moment, or is set back, has nothing tried before its time, or much
// after it.
func TestClockIsWrongForAMoment(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, 4 * time.Hour, 24 * time.Hour, -30 * time.Second, -24 * time.Hour} {
		for _, posted := range []bool{false, true} { // while it is wrong
			runInBubble(t, fmt.Sprint(ahead, posted), func(t *testing.T) {
				o, e := startOutage(t, webhook.OrderingNone)
				jump := func(wrong time.Duration) {
					o.mu.Lock()
					o.wrong = wrong
					o.mu.Unlock()
				}
				if !posted {
					o.post(10)
				}
				time.Sleep(time.Second)
				jump(ahead)
				if posted {
					o.post(10)
				}
				time.Sleep(2 * time.Second)
				if ahead > 0 {
					jump(0)
				}
				began := time.Now()
				time.Sleep(4 * time.Minute)
				o.mu.Lock()
				soon := 0
				for _, at := range o.attempts {
					if at.Sub(began) < time.Minute {
						soon++
					}
				}
				o.mu.Unlock()
				if soon > 7 { // two by the schedule, one ahead of its time, and probes after 5, 10 and 20 s
					t.Errorf("%d attempts in the first minute", soon)
				}
				o.b.mu.Lock()
				if lines := o.b.retries[e.ID]; len(lines) != 1 || lines[0].Spent > 3 {
					t.Errorf("what waits is %+v", lines)
				}
				o.b.mu.Unlock()
				o.set(false)
				time.Sleep(6 * time.Minute)
				o.mu.Lock()
				if len(o.arrived) != 1 {
					t.Errorf("%d came", len(o.arrived))
				}
				o.mu.Unlock()
				o.stop()
			})
		}
	}
}
