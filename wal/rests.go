package wal

import "time"

// rests are those of work in the background, such as reading a whole store. While entries are
// applied, it rests for most of the time: whoever waits for an entry would wait for the CPU and the
// disk.
type rests struct {
	applied func() uint64
	index   uint64    // when it looked last
	busy    time.Time // until then the store is considered to have other work
	begin   time.Time // of the work since the last rest
}

const (
	restAfter = time.Millisecond       // of work
	restRatio = 3                      // how many times as long as the work before a rest is
	maxRest   = 20 * time.Millisecond  // whoever takes the result may have been slow instead
	restBusy  = 200 * time.Millisecond // how long after an entry there are considered to be more
)

// newRests returns the rests beside a store that has applied so many entries.
func newRests(applied func() uint64) *rests {
	return &rests{applied: applied, index: applied(), begin: time.Now()}
}

// take is called again and again during the work, and rests if it is time to. It returns errEnded
// when ended is closed. With nil there are no rests.
func (r *rests) take(ended <-chan struct{}) error {
	select {
	case <-ended:
		return errEnded
	default:
	}
	if r == nil {
		return nil
	}
	now := time.Now()
	took := now.Sub(r.begin)
	if took < restAfter {
		return nil
	}
	if index := r.applied(); index != r.index {
		r.index, r.busy = index, now.Add(restBusy)
	}
	if now.Before(r.busy) {
		rest := time.NewTimer(min(restRatio*took, maxRest))
		defer rest.Stop()
		select {
		case <-rest.C:
		case <-ended:
			return errEnded
		}
	}
	r.begin = time.Now()
	return nil
}
