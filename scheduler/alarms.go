package scheduler

import "time"

// alarm is a timer's content: a line of a lane's retry set that is due then, or a lane that may
// send again.
type alarm struct {
	lane  *lane
	retry *retry // nil: the lane itself
}

// maxSleep bounds how long Run trusts the clock.
const maxSleep = time.Second

// alarms are the timers of a scheduler, on a wheel that Run turns.
type alarms struct {
	wheel  *wheel[alarm]
	latest time.Time     // at the wheel's last advance
	wakeAt time.Time     // when Run will look at the wheel
	wakeup chan struct{} // wakes Run when the wheel has something earlier
}

func newAlarms(now time.Time) alarms {
	return alarms{wheel: newWheel[alarm](now), latest: now, wakeup: make(chan struct{}, 1)}
}

func (a *alarms) set(t *timer[alarm], at time.Time) {
	a.wheel.add(t, at)
	if at.Before(a.wakeAt) {
		select {
		case a.wakeup <- struct{}{}:
		default:
		}
	}
}

// cancel takes a timer off the wheel. It returns false if it is not on it.
func (a *alarms) cancel(t *timer[alarm]) bool { return a.wheel.cancel(t) }

// advance calls fire for what is due and returns for how long to sleep.
func (a *alarms) advance(now time.Time, fire func(alarm)) time.Duration {
	a.latest = now
	a.wheel.advance(now, func(t *timer[alarm]) { fire(t.Value) })
	a.wakeAt = now.Add(maxSleep)
	if next, any := a.wheel.next(); any && next.Before(a.wakeAt) {
		a.wakeAt = next
	}
	return a.wakeAt.Sub(now)
}
